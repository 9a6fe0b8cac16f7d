"""`requirements.lock` and `requirements.txt` say the same, and the lock alone decides what is installed."""

import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from tests.audit import LOCK, read_pins

ROOT = Path(__file__).parents[1]


def normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def read_required() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normalise(name.partition("[")[0]): pin for name, pin in pairs}


def test_every_requirement_is_locked_at_its_version():
    locked = {normalise(name): pin for name, pin in read_pins(LOCK).items()}
    required = read_required()
    assert {name: locked.get(name) for name in required} == required


def test_every_package_has_hashes_and_no_source_of_its_own():
    text = LOCK.read_text()
    entries = re.split(r"\n(?=\S)", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    assert len(entries) == len(read_pins(LOCK))
    assert [entry[:40] for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []
    assert "://" not in text and "--index" not in text and "--find-links" not in text


def test_extras_of_the_requirements_are_locked_too():
    """`mlflow[auth]` and `ray[tune]` bring what no requirement names."""
    assert {"flask-wtf", "wtforms", "tensorboardx"} <= {normalise(name) for name in read_pins(LOCK)}


def read_licence(name: str) -> str:
    """What a package says of its licence; empty where it is not installed, or says nothing."""
    with suppress(PackageNotFoundError):
        told = metadata(name)
        classifiers = [each for each in told.get_all("Classifier", []) if each.startswith("License")]
        return " ".join([told.get("License-Expression", ""), *classifiers, (told.get("License") or "")[:100]])
    return ""


def test_no_package_asks_that_the_source_of_what_uses_it_be_published():
    licences = {name: read_licence(name) for name in read_pins(LOCK)}
    assert sum(bool(licence.strip()) for licence in licences.values()) > 100
    assert {name: licence for name, licence in licences.items() if re.search("GPL|General Public", licence)} == {}


def test_the_papers_tell_the_licence_of_every_requirement():
    told = (ROOT / "docs" / "licences.md").read_text()
    # Those with weights are told in one line.
    names = {re.sub(r"(lite)\d.*", r"\g<1>0", name) for name in read_required()}
    assert {name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", told)} == set()
