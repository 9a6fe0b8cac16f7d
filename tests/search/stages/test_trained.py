import numpy as np
import pytest

from search.folder import StageFolder
from search.memory.scores import SCORES_FILE
from search.stages.trained import fetch, find_failure, group_trainings, read_scores, winner_trainings
from segcore.errors import CheckpointError
from segcore.scoring.metrics import ImageScore
from segcore.scoring.score_text import encode_scores


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
    script.end(2, "out of memory", "at batch_size=8")
    assert find_failure(trainings.in_order) == "fold 1: out of memory at batch_size=8"


def test_a_checkpoint_that_is_gone_is_named_with_a_way_out(trainings, script):
    folder = StageFolder(root=script.journal.file.parent)
    with pytest.raises(CheckpointError, match=r"checkpoint of fold 0 is missing \(None\).* away and train all folds"):
        fetch(folder, trainings.trials[0], SCORES_FILE)
    script.write("checkpoint", trial=0, epoch=1, path="ray/run-1/checkpoint")
    with pytest.raises(CheckpointError, match="checkpoint of fold 0 is missing"):
        fetch(folder, trainings.trials[0], SCORES_FILE)
    file = folder.root / "ray/run-1/checkpoint" / SCORES_FILE
    file.parent.mkdir(parents=True)
    file.write_text("[")
    assert fetch(folder, trainings.trials[0], SCORES_FILE).read_text() == "["
    with pytest.raises(CheckpointError, match=r"scores.json cannot be read \(.*\); restore it, or delete"):
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
