import pytest

from search.memory.best import Configuration, Winner
from search.memory.events import Asked, CheckpointSaved, Epoch
from search.memory.history import EpochRecord, TrialRecord
from search.memory.journal import read_events, read_history
from search.memory.outcome import Outcome
from search.stages.plan import plan_folds, plan_further
from segcore.config import TrainConfig
from segcore.errors import CheckpointError

SMALL = {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16, "epochs": 2}


def make_best(**values: object) -> Winner:
    whole = TrainConfig.from_values({**SMALL, **values}).values()
    return Winner(search="streets", trial=5, fold=0, epoch=2, metrics={"iou": 0.8}, values=whole, trials=1)


FURTHER = Configuration(trial=7, values=make_best(decoder="linknet", seed=3).values)


def test_every_fold_is_asked_once_with_the_winners_values(script):
    best = make_best()
    plan_folds(script.journal, best, 3)
    plan_folds(script.journal, best, 3)
    trials = script.journal.history.trials
    assert {number: trial.fold for number, trial in trials.items()} == {0: 0, 1: 1, 2: 2}
    assert all(trial.values == best.values for trial in trials.values())
    assert script.journal.file.read_text().count('"asked"') == 3


def test_retraining_of_another_winner_is_refused(script):
    plan_folds(script.journal, make_best(), 2)
    with pytest.raises(CheckpointError, match=r"retrains another winner than best\.json names now; move that folder"):
        plan_folds(script.journal, make_best(batch_size=2), 2)


def test_fold_that_the_confirmation_trained_is_taken_over(script):
    best = make_best()
    epochs = {
        epoch: EpochRecord(
            epoch=epoch,
            metrics={"iou": iou},
            score=iou,
            time=100.0 + 20 * epoch,
            picture=f"trials/0007/epoch_000{epoch}.jpg",
        )
        for epoch, iou in ((1, 0.4), (2, 0.5))
    }
    training = TrialRecord(
        number=7, fold=1, values=best.values, params={}, started=100.0, epochs=epochs, checkpoint="ray/7",
        checkpoint_epoch=2, outcome=Outcome.FINISHED, ended=160.0, source=5, note="in parts of 2",
    )  # fmt: skip
    plan_folds(script.journal, best, 2, {(1, best.values["seed"]): training})
    assert [trial.fold for trial in script.journal.history.unfinished] == [0]
    taken = read_history(script.journal.file, "iou").trials[1]
    assert (taken.started, taken.ended, taken.outcome) == (100.0, 160.0, Outcome.FINISHED)
    assert {epoch: (record.score, record.time) for epoch, record in taken.epochs.items()} == {
        1: (0.4, 120.0), 2: (0.5, 140.0),
    }  # fmt: skip
    assert taken.epochs[1].picture == "../confirm/trials/0007/epoch_0001.jpg"
    assert (taken.checkpoint, taken.checkpoint_epoch) == ("../confirm/ray/7", 2)
    assert taken.message == "trained in the confirmation, as its training 7"
    assert taken.note == "in parts of 2"
    asked = [event for event in read_events(script.journal.file) if event.event == "asked"]
    assert [(event.trial, event.copy_of) for event in asked] == [(0, None), (1, 7)]


@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_fold_of_which_a_killed_retraining_took_over_a_part_is_taken_over_whole(script, has_checkpoint):
    best = make_best()
    training = TrialRecord(
        number=7, fold=0, values=best.values, params={}, started=100.0, checkpoint="ray/7", checkpoint_epoch=1,
        epochs={1: EpochRecord(epoch=1, metrics={"iou": 0.4}, score=0.4, time=120.0)}, outcome=Outcome.FINISHED,
        ended=160.0, source=5,
    )  # fmt: skip
    script.journal.write(Asked(trial=0, fold=0, values=best.values, params={}, copy_of=7))
    script.journal.write(Epoch(trial=0, epoch=1, metrics={"iou": 0.4}, time=120.0))
    if has_checkpoint:
        script.journal.write(CheckpointSaved(trial=0, epoch=1, path="../confirm/ray/7"))
    plan_folds(script.journal, best, 1, {(0, best.values["seed"]): training})
    taken = script.journal.history.trials[0]
    assert (taken.outcome, taken.checkpoint, list(taken.epochs)) == (Outcome.FINISHED, "../confirm/ray/7", [1])
    # Of the same moment, so that MLflow gets no second point.
    assert taken.epochs[1].time == 120.0


@pytest.mark.parametrize("outcome", ["failed", "diverged", "out of memory"])
def test_fold_that_failed_is_asked_for_anew(script, outcome):
    plan_folds(script.journal, make_best(), 2)
    script.end(0, "finished")
    script.end(1, outcome, "the disk was full")
    plan_folds(script.journal, make_best(), 2)
    assert [trial.fold for trial in script.journal.history.unfinished] == [1]


def test_only_fold_is_trained_once_with_each_seed_and_what_the_confirmation_trained_is_taken_over(script):
    best = make_best(seed=5)
    training = TrialRecord(
        number=3, fold=0, values={**best.values, "seed": 7}, params={}, started=100.0, checkpoint="ray/3",
        checkpoint_epoch=2, outcome=Outcome.FINISHED, ended=160.0, source=5,
    )  # fmt: skip
    for _ in range(2):
        plan_folds(script.journal, best, 1, {(0, 7): training}, [6, 7])
    trials = script.journal.history.trials
    assert {number: (trial.fold, trial.values["seed"]) for number, trial in trials.items()} == {0: (0, 6), 1: (0, 7)}
    assert [trial.number for trial in script.journal.history.unfinished] == [0]
    assert trials[1].message == "trained in the confirmation, as its training 3"
    with pytest.raises(CheckpointError, match="retrains another winner"):
        plan_folds(script.journal, make_best(seed=6), 1, {}, [7, 8])


def test_further_configurations_are_trained_on_the_winners_folds(script):
    best = make_best()
    for _ in range(2):
        # The second time as when it is gone on with.
        plan_folds(script.journal, best, 2)
        plan_further(script.journal, [FURTHER])
    trials = script.journal.history.in_order
    assert [(trial.number, trial.source, trial.fold) for trial in trials] == [
        (0, None, 0), (1, None, 1), (2, 7, 0), (3, 7, 1),
    ]  # fmt: skip
    assert all(trial.values == FURTHER.values for trial in trials[2:])
    assert script.journal.file.read_text().count('"asked"') == 4


def test_on_the_only_fold_further_configurations_have_as_many_seeds(script):
    plan_folds(script.journal, make_best(seed=10), 1, seeds=[11, 12])
    plan_further(script.journal, [FURTHER])
    further = [trial for trial in script.journal.history.in_order if trial.source == 7]
    assert [(trial.fold, trial.values["seed"]) for trial in further] == [(0, 3), (0, 4)]


def test_failed_training_of_a_further_configuration_is_tried_again(script):
    plan_folds(script.journal, make_best(), 2)
    plan_further(script.journal, [FURTHER])
    script.end(2, "failed", "the disk was full")
    script.end(3, "diverged", "the loss is nan")
    plan_further(script.journal, [FURTHER])
    assert [trial.number for trial in script.journal.history.unfinished] == [0, 1, 2, 3]
    assert len(script.journal.history.trials) == 4
