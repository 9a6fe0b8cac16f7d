import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from search.run.scratch import blaming_node, clear_scratch, scratch_folder, temporary_kept
from search.run.share import make_private_folder
from segcore.errors import ClusterError, StorageError


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """An own folder for temporary ones."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def die_within(block: str, temporary: Path) -> None:
    """Run a program that is killed (signal 9) within a block, and has its temporary files in a folder."""
    program = (
        "import os, signal, sys, tempfile; from pathlib import Path; tempfile.tempdir = sys.argv[1]\n"
        "from search.run.scratch import scratch_folder, temporary_kept\n"
        f"with {block}; os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(temporary)], cwd=Path(__file__).parents[3], check=False)
    assert killed.returncode == -9


def test_the_folder_of_a_worker_that_was_killed_while_saving_is_deleted_and_that_of_a_live_one_is_not(temporary):
    die_within("scratch_folder() as folder: (folder / 'state.pt').touch()", temporary)
    (left,) = temporary.iterdir()
    with scratch_folder() as live:
        assert set(temporary.iterdir()) == {left, live}
        clear_scratch()
        assert list(temporary.iterdir()) == [live]
    assert list(temporary.iterdir()) == []


def test_what_libraries_of_a_killed_process_had_half_written_is_deleted_by_the_next(temporary):
    foreign = temporary / "tmp1234"
    foreign.mkdir()
    die_within("temporary_kept(): Path(tempfile.mkdtemp(), 'picture.png').touch()", temporary)
    assert len(list(temporary.rglob("picture.png"))) == 1
    with temporary_kept():
        (own,) = set(temporary.iterdir()) - {foreign}
        assert Path(tempfile.mkdtemp()).parent == own
    assert list(temporary.iterdir()) == [foreign]
    assert Path(tempfile.gettempdir()) == temporary


def test_without_room_for_temporary_files_a_process_goes_on(temporary, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "gone"))
    with temporary_kept():
        assert tempfile.tempdir == str(temporary / "gone")


def test_the_folder_of_locks_stays(temporary):
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
    monkeypatch.setattr(os, "getuid", lambda: -1)
    clear_scratch()
    assert sorted(temporary.iterdir()) == before
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    clear_scratch()
    assert sorted(set(before) - set(temporary.iterdir())) == [temporary / "street-search-scratch-of-another"]
    assert target.is_dir()


@pytest.mark.parametrize("error", [StorageError("state.pt cannot be written"), OSError(28, "No space left on device")])
def test_a_full_disk_of_temporary_files_is_the_fault_of_its_node(temporary, error):
    with pytest.raises(ClusterError) as told, blaming_node(StorageError, OSError):
        raise error
    assert str(told.value).startswith(f"{socket.gethostname()}: make room in {temporary}, or start Ray with another")
    assert str(told.value).endswith(str(error))
