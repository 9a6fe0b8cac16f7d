import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from search.run import scratch
from search.run.scratch import clear_scratch, scratch_folder
from search.run.share import make_private_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """An own folder for temporary ones."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_of_a_worker_that_was_killed_while_saving_is_deleted_and_that_of_a_live_one_is_not(temporary):
    program = (
        "import os, signal, sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from search.run.scratch import scratch_folder\n"
        "with scratch_folder() as folder: (folder / 'state.pt').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(temporary)], cwd=Path(__file__).parents[3], check=False)
    assert killed.returncode == -9
    (left,) = temporary.iterdir()
    with scratch_folder() as live:
        assert set(temporary.iterdir()) == {left, live}
        clear_scratch()
        assert list(temporary.iterdir()) == [live]
    assert list(temporary.iterdir()) == []


def test_the_folder_of_locks_stays(temporary, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    locks = make_private_folder()
    clear_scratch()
    assert list(temporary.iterdir()) == [locks]


def test_nothing_else_is_deleted(temporary, monkeypatch):
    target = temporary / "others" / "deep"
    target.mkdir(parents=True)
    (temporary / "street-search-scratch-link").symlink_to(target)
    (temporary / "street-search-scratch-file").touch()
    (temporary / "street-search-scratch-of-another").mkdir()
    before = sorted(temporary.iterdir())
    monkeypatch.setattr(scratch.os, "getuid", lambda: -1)
    clear_scratch()
    assert sorted(temporary.iterdir()) == before
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    clear_scratch()
    assert sorted(set(before) - set(temporary.iterdir())) == [temporary / "street-search-scratch-of-another"]
    assert target.is_dir()
