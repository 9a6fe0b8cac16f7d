"""`requirements.lock` and `requirements.txt` say the same, and the lock alone decides what is installed."""

import re
from pathlib import Path
from urllib.error import URLError

from tests.audit import LOCK, audit, read_pins

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


def test_audit_tells_what_is_known_and_what_could_not_be_learnt():
    known = {"id": "PYSEC-1", "link": "https://osv.dev/PYSEC-1", "fixed_in": ["2.0"], "withdrawn": None}

    def ask(name: str, pin: str) -> list:
        if name == "away":
            raise URLError("no route")
        return [known, {**known, "withdrawn": "2026-01-01"}] if (name, pin) == ("old", "1.0") else []

    found, unknown = audit({"new": "3", "old": "1.0", "away": "1"}, ask)
    assert found == ["old 1.0: PYSEC-1 https://osv.dev/PYSEC-1 (fixed in 2.0)"]
    assert unknown == ["away"]


def test_audit_does_not_wait_for_a_database_that_does_not_answer():
    asked = []

    def ask(name: str, pin: str) -> list:
        asked.append(name)
        raise TimeoutError

    assert audit({"a": "1", "b": "1", "c": "1"}, ask) == ([], ["a", "b", "c"])
    assert asked == ["a"]
