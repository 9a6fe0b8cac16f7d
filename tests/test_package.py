"""What `pip install .` installs: a wheel is built, put into an empty environment, and used from an empty folder."""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Final

import pytest

from segcore.version import VERSION

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("search", "segcore", "spaces")
PARTS: Final = ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", *PACKAGES)


def run(*command, cwd):
    return subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built of a copy, for a build leaves its folders beside the sources; offline, with the installed setuptools."""
    folder = tmp_path_factory.mktemp("wheel")
    for part in PARTS:
        source, copy = ROOT / part, folder / "source" / part
        copy.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder)
    built = run(sys.executable, "-m", "pip", "wheel", folder / "source", *options, cwd=folder)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def scripts(wheel, tmp_path_factory):
    """Of an environment that has the wheel, and borrows what it depends on from the running one."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    made = run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    assert made.returncode == 0, made.stderr
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ("--no-deps", "--no-index", "--no-compile", wheel)
    installed = run(
        sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", *options, cwd=folder.parent
    )
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return folder / "bin"


def read_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_holds_every_file_of_the_three_packages_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*") if file.is_file())
    ours = {file.relative_to(ROOT).as_posix() for file in files if "__pycache__" not in file.parts}
    # A file that is no module has to stand in pyproject.toml, under tool.setuptools.package-data.
    assert held == ours


def test_the_wheel_needs_what_the_requirements_say_at_their_versions(wheel):
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert read_metadata(wheel).get_all("Requires-Dist") == [line for line in lines if line and line[0] != "#"]


def test_the_wheel_has_version_and_licence(wheel):
    metadata = read_metadata(wheel)
    assert (metadata["Version"], metadata["License-Expression"]) == (VERSION, "MIT")
    assert wheel.name.startswith(f"street_search-{VERSION}-")


def test_both_scripts_work_from_an_empty_folder(scripts, tmp_path):
    drawn = run(scripts / "segcore", "streets", "streets", "--cases", "4", "--test-cases", "1", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    assert len([*(tmp_path / "streets" / "seg_train_images").iterdir()]) == 4
    missing = run(scripts / "street-search", "status", "nobody", cwd=tmp_path)
    assert missing.returncode == 2 and "nobody" in missing.stderr and "Traceback" not in missing.stderr
