import numpy as np
import pytest

from search.folder import StageFolder
from search.memory.journal import read_history
from search.run.trial import STATE_FILE
from search.stages.trained import (
    ask_damaged_anew,
    fetch,
    find_failure,
    group_trainings,
    is_usable,
    read_scores,
    winner_trainings,
)
from segcore.config import TrainConfig
from segcore.errors import CheckpointError
from segcore.machine import Machine
from segcore.scoring.metrics import ImageScore
from segcore.scoring.score_text import SCORES_FILE, encode_scores
from segcore.training.checkpoint import save_state
from segcore.training.state import new_state


@pytest.fixture
def trainings(script):
    """Trainings of a winner on two folds, and between them one of the search's trial 5."""
    for number, (fold, source) in enumerate(((0, None), (0, 5), (1, None))):
        script.ask(number, fold=fold, source=source)
    script.end(0)
    return script.journal.history


def test_trainings_are_grouped_by_configuration_the_winner_first(trainings):
    grouped = group_trainings(trainings, winner=7)
    assert {trial: [each.number for each in group] for trial, group in grouped.items()} == {7: [0, 2], 5: [1]}
    assert list(grouped) == [7, 5]


def test_a_fold_of_the_winner_that_has_no_network_is_named(trainings, script):
    with pytest.raises(CheckpointError, match=r"Fold 1 was not retrained \(it has not finished\)"):
        winner_trainings(trainings)
    script.end(2, "failed", "disk full")
    with pytest.raises(CheckpointError, match=r"Fold 1 was not retrained \(failed: disk full\)"):
        winner_trainings(trainings)
    script.end(2)
    assert [trial.number for trial in winner_trainings(trainings)] == [0, 2]


def test_a_configuration_fails_with_its_first_training_that_has_no_network(trainings, script):
    assert find_failure(trainings.in_order[:1]) == ""
    assert find_failure(trainings.in_order) == "fold 0: not finished"
    script.end(1)
    script.end(2, "out of memory", "Traceback:\n  ...\nat batch_size=8")
    assert find_failure(trainings.in_order) == "fold 1: out of memory at batch_size=8"


def test_a_checkpoint_that_is_gone_is_named_with_a_way_out(trainings, script):
    folder = StageFolder(root=script.journal.file.parent)
    with pytest.raises(CheckpointError, match=r"checkpoint of fold 0 is missing \(None\).* or train that fold anew"):
        fetch(folder, trainings.trials[0], SCORES_FILE)
    script.write("checkpoint", trial=0, epoch=1, path="ray/run-1/checkpoint")
    with pytest.raises(CheckpointError, match="checkpoint of fold 0 is missing"):
        fetch(folder, trainings.trials[0], SCORES_FILE)
    file = folder.root / "ray/run-1/checkpoint" / SCORES_FILE
    file.parent.mkdir(parents=True)
    file.write_text("[")
    assert fetch(folder, trainings.trials[0], SCORES_FILE).read_text() == "["
    with pytest.raises(CheckpointError, match=r"scores.json cannot be read \(.*\); restore it, or train that"):
        read_scores(folder, trainings.trials[0], 4)


def test_scores_come_back_as_a_training_wrote_them(trainings, script):
    folder = StageFolder(root=script.journal.file.parent)
    script.write("checkpoint", trial=0, epoch=1, path="ray/checkpoint")
    counted = ImageScore(
        name="a", condition="night", iou=0.5, confusion_CP=np.array([[9, 1, 0], [0, 8, 2]]),
        boundary_C2=np.array([[3, 5], [2, 4]]),
    )  # fmt: skip
    uncounted = ImageScore(name="b", condition="", iou=None, confusion_CP=np.zeros((2, 3), np.int64))
    file = folder.root / "ray/checkpoint" / SCORES_FILE
    file.parent.mkdir(parents=True)
    file.write_text(encode_scores((counted, uncounted)))
    for found, written in zip(read_scores(folder, trainings.trials[0], 2), (counted, uncounted), strict=True):
        assert (found.name, found.condition, found.iou) == (written.name, written.condition, written.iou)
        np.testing.assert_array_equal(found.confusion_CP, written.confusion_CP)
        np.testing.assert_array_equal(found.boundary_C2, written.boundary_C2)


@pytest.fixture
def save_checkpoint(script):
    """Return a function that ends a training with a checkpoint in which a network and no image is scored."""

    def save(number):
        small = TrainConfig(backbone="tf_efficientnet_lite0", weights="none", decoder_channels=16)
        folder = script.journal.file.parent / "ray" / str(number)
        folder.mkdir(parents=True)
        save_state(new_state(small, 3, Machine()), folder / STATE_FILE)
        (folder / SCORES_FILE).write_text(encode_scores(()))
        script.write("checkpoint", trial=number, epoch=1, path=f"ray/{number}")
        script.end(number)
        return folder

    return save


@pytest.mark.parametrize("file", [STATE_FILE, SCORES_FILE])
@pytest.mark.parametrize("is_torn", [True, False])
def test_a_finished_training_whose_checkpoint_is_torn_or_gone_is_asked_for_again(
    trainings, script, save_checkpoint, file, is_torn
):
    folder = StageFolder(root=script.journal.file.parent)
    damaged = [save_checkpoint(number) for number in range(3)][2]
    assert all(is_usable(folder, trial, 3) for trial in trainings.in_order)
    (damaged / file).write_bytes((damaged / file).read_bytes()[:-1]) if is_torn else (damaged / file).unlink()
    ask_damaged_anew(script.journal, folder, 3)
    assert [trial.number for trial in trainings.unfinished] == [2]
    assert (trainings.trials[2].fold, trainings.trials[2].checkpoint) == (1, None)
    (warning,) = trainings.warnings
    assert warning.message == "The checkpoint of fold 1 (ray/2) is missing or damaged; it is trained anew."
    assert read_history(script.journal.file, "iou").unfinished == trainings.unfinished


def test_of_a_further_configuration_it_is_enough_that_its_checkpoint_is_there(trainings, script, save_checkpoint):
    folder = StageFolder(root=script.journal.file.parent)
    further = [save_checkpoint(number) for number in range(3)][1]
    (further / STATE_FILE).write_bytes(b"torn")
    ask_damaged_anew(script.journal, folder, 3)
    assert trainings.unfinished == []
    # As the worker says that cannot read it.
    (further / STATE_FILE).unlink()
    ask_damaged_anew(script.journal, folder, 3)
    assert [(trial.number, trial.source) for trial in trainings.unfinished] == [(1, 5)]


def test_a_checkpoint_that_its_disk_does_not_give_is_not_trained_anew(trainings, script, save_checkpoint, monkeypatch):
    folder = StageFolder(root=script.journal.file.parent)
    save_checkpoint(2)

    def fail(file):
        raise CheckpointError(f"{file} cannot be read (Stale file handle).")

    monkeypatch.setattr("search.stages.trained.require_readable", fail)
    with pytest.raises(CheckpointError, match="Stale file handle"):
        ask_damaged_anew(script.journal, folder, 3)
    assert trainings.trials[2].outcome is not None
