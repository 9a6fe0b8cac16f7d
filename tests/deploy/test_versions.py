"""The versions in the files for clusters and their how-tos: those of `requirements.txt`, and one of uv."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([ROOT / "cluster.yaml", *(ROOT / "deploy").iterdir(), *(ROOT / "docs" / "cluster").iterdir()])
TEXTS = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in FILES if file.is_file()}
UV = re.compile(r"astral\.sh/uv/(\d[\d.]*\d)/|UV: (\d[\d.]*\d)")


@pytest.mark.parametrize("name", TEXTS)
def test_packages_have_the_versions_of_the_requirements(name, pins):
    found = re.findall(r"\b(ray|mlflow)(?:\[\w+\])?==([\w.]+\w)", TEXTS[name])
    assert {(package, version) for package, version in found if pins[package] != version} == set()


def test_images_and_jobs_have_rays_version(pins):
    found = {
        version
        for text in TEXTS.values()
        for version in re.findall(r"(?:rayproject/ray:|rayVersion: \")([\d.]+\d)", text)
    }
    assert found == {pins["ray"]}


def test_every_file_installs_one_version_of_uv():
    found = {name: ["".join(groups) for groups in UV.findall(text)] for name, text in TEXTS.items() if UV.search(text)}
    assert set(found) == {"cluster.yaml", "deploy/local.yaml", "deploy/sky.yaml"}
    assert len({version for versions in found.values() for version in versions}) == 1
    assert not [name for name, text in TEXTS.items() if "astral.sh/uv/install.sh" in text], "whichever is newest"
