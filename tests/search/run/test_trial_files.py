from pathlib import Path

import pytest

from search.folder import StageFolder
from search.run.trial_files import TrialFiles
from segcore.errors import StorageError


@pytest.fixture
def stage(script) -> StageFolder:
    return StageFolder(root=script.journal.file.parent)


@pytest.fixture
def files(script, stage) -> TrialFiles:
    return TrialFiles(script.journal, stage)


def test_pictures_are_named_by_the_journal_as_they_lie_in_the_stage(files, stage):
    saved = files.save_pictures(3, 2, {"day": b"a", "../night": b"b"})
    assert list(saved) == ["day", "../night"]
    assert [(stage.root / file).read_bytes() for file in saved.values()] == [b"a", b"b"]
    assert {Path(file).name for file in saved.values()} == {"epoch_0002_0.jpg", "epoch_0002_1.jpg"}


def test_each_line_of_a_log_has_its_time(files, stage):
    files.log(3, "epoch 1: iou 0.5")
    files.log(3, "finished")
    lines = (stage.trial(3) / "log.txt").read_text().splitlines()
    assert [line[20:] for line in lines] == ["epoch 1: iou 0.5", "finished"]
    assert all(len(line.split()[0]) == len("2026-01-31") for line in lines)


def test_a_full_disk_is_named_with_what_could_not_be_written(files, stage):
    stage.trial(0).parent.mkdir()
    stage.trial(0).write_text("a file where the trial's folder should be")
    with pytest.raises(StorageError, match=r"epoch_0001_0\.jpg cannot be written .*; make room on its disk"):
        files.save_pictures(0, 1, {"day": b"a"})


def test_of_a_folder_that_was_moved_away_none_is_begun_in_its_place(files, stage):
    stage.root.rename(stage.root.with_name("moved"))
    with pytest.raises(StorageError, match=r"journal\.jsonl is gone"):
        files.log(0, "epoch 1")
    assert not stage.root.exists()
