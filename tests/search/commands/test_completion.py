import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("completion") / "searches"
    for name in ("streets", "strasse", "other"):
        (folder / name).mkdir(parents=True)
        (folder / name / "settings.json").write_text("{}")
    return folder


def complete(line: str, folder: Path) -> list[str]:
    """What bash is offered for the last word of a line, in a folder."""
    program = "from search.__main__ import app; app(prog_name='street-search')"
    words = line.split(" ")
    environment = {
        "_STREET_SEARCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1),
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_and_names_of_searches_are_completed(storage):
    assert complete("street-search sta", storage) == ["status"]
    assert sorted(complete("street-search status st", storage.parent)) == ["strasse", "streets"]
    assert complete(f"street-search status --storage {storage} o", storage) == ["other"]
    assert complete("street-search status o", storage) == [], "there is no storage here"
