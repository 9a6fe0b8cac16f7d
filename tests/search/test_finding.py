import fcntl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from filelock import FileLock

from search.finding import find_folder, is_in_use, list_names, lock_idle_stage, lock_stage, require_idle, require_new
from search.folder import SearchFolder, StageFolder, folder_of
from search.settings import write_settings
from segcore.errors import CheckpointError, ConfigError, StorageError


@pytest.fixture
def save_search(make_settings, make_place):
    """Return a function that leaves a search as `launch` does."""

    def save(name: str = "streets") -> SearchFolder:
        settings = make_settings(name=name)
        folder = folder_of(settings, make_place())
        folder.root.mkdir(parents=True)
        write_settings(settings, folder.settings)
        return folder

    return save


def test_a_name_that_is_free_passes_and_leaves_nothing_behind(make_settings, make_place, tmp_path):
    require_new(make_settings(), make_place())
    assert list((tmp_path / "searches").iterdir()) == []


def test_name_that_is_taken_is_refused_with_the_two_remedies(make_settings, make_place, save_search):
    save_search()
    with pytest.raises(ConfigError) as caught:
        require_new(make_settings(), make_place())
    assert "--name streets" in str(caught.value)
    assert "search resume streets" in str(caught.value)
    assert "another name" in str(caught.value)


def test_folder_of_a_launch_that_never_began_may_be_used(make_settings, make_place):
    """Without settings.json there is nothing to go on with."""
    folder_of(make_settings(), make_place()).root.mkdir(parents=True)
    require_new(make_settings(), make_place())


def test_storage_that_cannot_be_written_is_refused(make_settings, make_place, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match=r"--storage .*file/searches cannot be written \(Not a directory\)"):
        require_new(make_settings(), make_place(storage=tmp_path / "file" / "searches"))


def test_search_is_found_by_its_name(save_search, tmp_path):
    assert save_search() == find_folder(tmp_path / "searches", "streets")


def test_unknown_name_is_refused_with_the_names_there_are(save_search, tmp_path):
    save_search("night")
    save_search("day")
    with pytest.raises(CheckpointError, match="there are day, night"):
        find_folder(tmp_path / "searches", "streets")


def test_unknown_name_in_an_empty_storage_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="there is none at all"):
        find_folder(tmp_path / "nowhere", "streets")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "streets/"])
def test_path_is_no_name_of_a_search(tmp_path, name):
    (tmp_path / "settings.json").touch()
    with pytest.raises(ConfigError, match="is no name of a search; give the name of its folder alone"):
        find_folder(tmp_path, name)


def test_storage_that_is_no_folder_is_not_told_to_be_empty(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StorageError, match=f"{file} cannot be read .Not a directory.; .*--storage"):
        list_names(file)
    with pytest.raises(StorageError, match="Not a directory"):
        find_folder(file, "streets")


def test_search_is_not_begun_in_the_folder_of_another(make_settings, make_place, tmp_path):
    (tmp_path / "settings.json").touch()
    with pytest.raises(ConfigError, match=f"is the folder of a search, .* such as {tmp_path.parent}"):
        require_new(make_settings(), make_place(storage=tmp_path))


def test_name_longer_than_a_file_may_have_is_that_of_no_search(tmp_path):
    with pytest.raises(CheckpointError, match="No search"):
        find_folder(tmp_path, "a" * 300)


def test_a_stage_is_locked_against_other_processes_until_it_is_released(tmp_path):
    stage = SearchFolder(root=tmp_path / "streets").search_stage
    program = (
        "import sys; from pathlib import Path; from search.finding import lock_stage; "
        "from search.folder import StageFolder; "
        "lock_stage(StageFolder(root=Path(sys.argv[1]))).__enter__()"
    )

    def lock_elsewhere() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, str(stage.root)]
        return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)

    with lock_stage(stage):
        refused = lock_elsewhere()
    assert refused.returncode != 0
    assert "is in use by another process" in refused.stderr
    assert lock_elsewhere().returncode == 0


def test_lock_of_a_killed_process_is_free(tmp_path):
    stage = SearchFolder(root=tmp_path / "streets").search_stage
    program = (
        "import os, signal, sys; from pathlib import Path; from search.finding import lock_stage; "
        "from search.folder import StageFolder; "
        "lock_stage(StageFolder(root=Path(sys.argv[1]))).__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(stage.root)], timeout=600, check=False)
    assert killed.returncode == -9
    with lock_stage(stage):
        pass


def test_stage_is_in_use_while_its_lock_is_held(tmp_path):
    stage = StageFolder(root=tmp_path / "stage")
    with lock_stage(stage):
        assert is_in_use(stage)
        with pytest.raises(CheckpointError, match=r"another process; wait for it, or stop it by '.* stop stage"):
            require_idle(stage)
    assert not is_in_use(stage)
    require_idle(stage)


def test_nobody_runs_a_stage_whose_lock_is_held_to_send_what_it_has_left(tmp_path):
    stage = StageFolder(root=tmp_path / "stage")
    with lock_idle_stage(stage):
        assert not is_in_use(stage)
        with pytest.raises(CheckpointError, match="is in use by another process"):
            require_idle(stage)
    assert not is_in_use(stage)
    with lock_stage(stage):
        assert is_in_use(stage)
        with pytest.raises(CheckpointError, match="is in use by another process"), lock_idle_stage(stage):
            pass
        assert is_in_use(stage)


def test_whoever_else_looks_at_a_stage_is_no_driver_of_it(tmp_path):
    stage = StageFolder(root=tmp_path)
    with lock_stage(stage):
        pass
    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(is_in_use, [stage] * 4000))


def test_a_stage_that_is_only_looked_at_may_be_taken(tmp_path, monkeypatch):
    stage = StageFolder(root=tmp_path)
    with lock_stage(stage):
        pass
    with (tmp_path / ".lock").open("rb") as looked:
        fcntl.flock(looked, fcntl.LOCK_SH)
        # Who waits for the lock gives it up, as one who looks does a moment later.
        monkeypatch.setattr("time.sleep", lambda seconds: looked.close())
        with lock_stage(stage):
            assert is_in_use(stage)


def test_whoever_asks_for_an_idle_stage_holds_no_lock_of_it(tmp_path):
    stage = StageFolder(root=tmp_path)
    with lock_stage(stage):
        pass
    with (tmp_path / ".lock").open("rb") as looked:
        # As another does who looks: beside it nobody holds the lock for oneself.
        fcntl.flock(looked, fcntl.LOCK_SH)
        require_idle(stage)


def test_storage_whose_name_is_too_long_is_refused(make_settings, make_place, tmp_path):
    with pytest.raises(StorageError, match="cannot be written \\(File name too long\\); choose another folder"):
        require_new(make_settings(), make_place(storage=tmp_path / ("x" * 300)))


def test_one_lock_is_taken_once(tmp_path):
    """What is taken twice and left once would stay locked to the end of the process."""
    stage = StageFolder(root=tmp_path / "stage")
    for _ in range(2):
        with lock_stage(stage):
            pass
        with FileLock(tmp_path / "stage" / ".lock", timeout=0) as lock:
            assert lock.lock_counter == 1


def test_stage_that_nobody_ran_is_idle_and_nothing_is_left_there(tmp_path):
    require_idle(StageFolder(root=tmp_path / "stage"))
    assert not (tmp_path / "stage").exists()


def test_a_stage_that_cannot_be_written_is_named_and_nobody_runs_it(tmp_path):
    (tmp_path / "file").touch()
    stage = StageFolder(root=tmp_path / "file" / "streets")
    with (
        pytest.raises(StorageError, match=r"streets cannot be written \(Not a directory\); make room .*, or let it be"),
        lock_stage(stage),
    ):
        pass
    assert not is_in_use(stage)
