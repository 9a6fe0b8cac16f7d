"""The recorder hears real Ray Tune trials, made here without a cluster."""

import math
from types import SimpleNamespace

import pytest
from optuna.trial import TrialState
from ray import tune
from ray.train._internal.storage import StorageContext
from ray.tune.experiment import Trial

from search.journal import Outcome, read_events, read_history
from search.layout import StageFolder
from search.proposals import draw_config
from search.recorder import Recorder
from search.scheduler import Asha
from search.searcher import Proposer
from spaces.street import street


@pytest.fixture
def parts(make_settings, script, tmp_path) -> SimpleNamespace:
    """A recorder with all that it tells: journal, files, ASHA and proposer; two trials are asked."""
    settings = make_settings()
    stage = StageFolder(root=script.journal.file.parent)
    asha = Asha(grace_epochs=1, reduction_factor=2, epochs=9)
    proposer = Proposer(
        lambda trial: draw_config(street, trial, settings).values(), seed=0, facts={"smallest_side": 512}, epochs=9
    )
    for number in range(2):
        values, params = proposer.ask(number)
        script.journal.write("asked", {"trial": number, "fold": 0, "values": values, "params": params})
    recorder = Recorder(script.journal, stage, asha, proposer)
    return SimpleNamespace(journal=script.journal, stage=stage, asha=asha, proposer=proposer, recorder=recorder)


@pytest.fixture
def make_trial():
    """Return a function that makes Ray's trial of a number."""
    return lambda number: Trial("no_trainable", stub=True, config={"trial": number})


@pytest.fixture
def placed_trial(local_ray, tmp_path) -> Trial:
    """Ray's trial 0 with the folder that it keeps errors in."""
    place = StorageContext(str(tmp_path / "ray"), experiment_dir_name="run", trial_dir_name="trial_0000")
    trial = Trial("no_trainable", stub=True, config={"trial": 0}, storage=place)
    trial.init_local_path()
    return trial


def report(trial: Trial, parts: SimpleNamespace, epoch: int, outcome: str = "", **metrics: float) -> dict:
    """Hand a result over in Ray's order: the callback first, then it is the trial's last result."""
    result = {"epoch": epoch, "outcome": outcome, "message": "", "metrics": metrics, "picture": b"\xff\xd8picture"}
    parts.recorder.on_trial_result(1, [trial], trial, result)
    trial.update_last_result(result)
    return result


def save_checkpoint(trial: Trial, parts: SimpleNamespace, folder) -> None:
    folder.mkdir(parents=True)
    parts.recorder.on_checkpoint(1, [trial], trial, tune.Checkpoint(str(folder)))


def test_an_epoch_is_written_with_its_picture_and_told_to_the_proposer(parts, make_trial):
    trial = make_trial(0)
    result = report(trial, parts, 1, iou=0.5, train_loss=0.25)
    record = read_history(parts.journal.file).trials[0].epochs[1]
    assert record.metrics == {"iou": 0.5, "train_loss": 0.25}
    assert (parts.stage.root / record.picture).read_bytes() == b"\xff\xd8picture"
    assert parts.proposer.trials[0].intermediate_values == {1: 0.5}
    assert "picture" not in result, "Ray would write it to its own files"
    assert "epoch 1: iou 0.5, train_loss 0.25" in (parts.stage.trial(0) / "log.txt").read_text()


def test_scores_of_images_are_kept_only_where_configurations_are_compared(parts, make_trial):
    """In a search they would make the journal long, and nothing reads them."""
    for recorder, kept in ((parts.recorder, None), (Recorder(parts.journal, parts.stage, None, None), {"a": 0.5})):
        parts.recorder = recorder
        trial = make_trial(0)
        result = {"epoch": 1, "outcome": "", "message": "", "metrics": {"iou": 0.5}, "image_ious": '{"a": 0.5}'}
        recorder.on_trial_result(1, [trial], trial, result)
        assert read_history(parts.journal.file).trials[0].epochs[1].image_ious == kept
        assert "image_ious" not in result, "Ray would write it to its own files"


def test_trial_that_the_space_could_not_draw_is_written_and_not_told_to_the_proposer(parts, make_trial):
    values = parts.journal.history.trials[0].values
    content = {"trial": 2, "fold": 0, "values": values, "params": {}, "drawable": False}
    parts.journal.write("asked", content)
    trial = make_trial(2)
    report(trial, parts, 1, outcome="finished", iou=0.5)
    parts.recorder.on_trial_complete(1, [trial], trial)
    assert read_history(parts.journal.file).trials[2].outcome is Outcome.FINISHED
    assert len(parts.proposer.trials) == 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_left_out(parts, make_trial, value):
    """JSON and MLflow have no place for them."""
    report(make_trial(0), parts, 1, iou=value, miou=0.4)
    assert read_history(parts.journal.file).trials[0].epochs[1].metrics == {"miou": 0.4}
    assert "NaN" not in parts.journal.file.read_text()
    assert parts.proposer.trials[0].intermediate_values == {}


def test_trial_that_reports_its_last_epoch_ends_finished(parts, make_trial):
    trial = make_trial(0)
    report(trial, parts, 1, "finished", iou=0.5)
    parts.recorder.on_trial_complete(1, [trial], trial)
    record = read_history(parts.journal.file).trials[0]
    assert record.outcome is Outcome.FINISHED
    assert record.ended is not None
    assert [(t.state, t.value) for t in parts.proposer.trials] == [
        (TrialState.COMPLETE, 0.5),
        (TrialState.RUNNING, None),
    ]


def test_trial_that_asha_stops_ends_with_its_reason(parts, make_trial):
    trials = [make_trial(0), make_trial(1)]
    for trial, iou in zip(trials, (0.5, 0.4), strict=True):
        report(trial, parts, 1, iou=iou)
        parts.asha.judge(trial.config["trial"], 1, iou)
    parts.recorder.on_trial_complete(1, trials, trials[1])
    record = read_history(parts.journal.file).trials[1]
    assert record.outcome is Outcome.STOPPED
    assert record.message == "iou 0.4000 after epoch 1 is rank 2 of 2; of every 2 the best goes on"
    assert not parts.asha.waits(1), "without a checkpoint it could not go on"


def test_trial_that_asha_stops_waits_with_its_checkpoint(parts, make_trial, tmp_path):
    trial = make_trial(0)
    parts.asha.judge(0, 1, 0.4)
    report(trial, parts, 1, iou=0.4)
    save_checkpoint(trial, parts, tmp_path / "checkpoint")
    parts.recorder.on_trial_complete(1, [trial], trial)
    assert parts.asha.waits(0) and (tmp_path / "checkpoint").exists()
    assert parts.asha.find_promoted() is None
    # The second of two is worse: the first goes on.
    parts.asha.judge(1, 1, 0.3)
    assert parts.asha.find_promoted() == 0


def test_checkpoints_of_trials_far_behind_are_dropped(parts, script, make_trial, tmp_path):
    """Of eleven that were stopped at a rung the best eight keep theirs."""
    for number in range(11):
        if number >= 2:
            values, params = parts.proposer.ask(number)
            script.journal.write("asked", {"trial": number, "fold": 0, "values": values, "params": params})
        trial = make_trial(number)
        # As if each was stopped: how many go on is the scheduler's matter.
        parts.asha.judge(number, 1, number / 100)
        parts.asha.stopped[number] = "behind"
        report(trial, parts, 1, iou=number / 100)
        save_checkpoint(trial, parts, tmp_path / str(number))
        parts.recorder.on_trial_complete(1, [trial], trial)
    assert [number for number in range(11) if not (tmp_path / str(number)).exists()] == [0, 1, 2]
    dropped = [event["trial"] for event in read_events(parts.journal.file) if event["event"] == "dropped"]
    assert sorted(dropped) == [0, 1, 2]
    assert not read_history(parts.journal.file).trials[0].can_go_on
    assert parts.proposer.trials[1].state is TrialState.PRUNED


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.OUT_OF_MEMORY, Outcome.FAILED])
def test_trial_that_says_farewell_ends_with_its_words(parts, make_trial, outcome):
    trial = make_trial(0)
    report(trial, parts, 1, iou=0.5)
    farewell = {"outcome": str(outcome), "message": "a remedy"}
    parts.recorder.on_trial_result(1, [trial], trial, farewell)
    trial.update_last_result(farewell)
    parts.recorder.on_trial_complete(1, [trial], trial)
    record = read_history(parts.journal.file).trials[0]
    assert (record.outcome, record.message, record.last_epoch) == (outcome, "a remedy", 1)
    assert parts.proposer.trials[0].state is TrialState.FAIL


def test_trial_that_the_time_budget_cuts_off_stays_unfinished(parts, make_trial):
    trial = make_trial(0)
    report(trial, parts, 1, iou=0.5)
    parts.recorder.on_trial_complete(1, [trial], trial)
    assert [record.number for record in read_history(parts.journal.file).unfinished] == [0, 1]


def test_trial_whose_worker_died_for_good_fails_with_the_last_error(parts, placed_trial):
    placed_trial.handle_error(RuntimeError("the node ran out of memory"))
    parts.recorder.on_trial_error(1, [placed_trial], placed_trial)
    record = read_history(parts.journal.file).trials[0]
    assert record.outcome is Outcome.FAILED
    assert "the node ran out of memory" in record.message


def test_worker_that_died_without_a_word_is_told_so(parts, placed_trial):
    parts.recorder.on_trial_error(1, [placed_trial], placed_trial)
    assert "died without a word" in read_history(parts.journal.file).trials[0].message


def test_restart_is_counted_and_logged(parts, placed_trial):
    parts.recorder.on_trial_recover(1, [placed_trial], placed_trial)
    assert read_history(parts.journal.file).trials[0].restarts == 1
    assert "goes on from its last checkpoint" in (parts.stage.trial(0) / "log.txt").read_text()


def test_checkpoint_is_written_with_its_epoch_and_place(parts, make_trial, tmp_path):
    trial = make_trial(0)
    report(trial, parts, 3, iou=0.5)
    save_checkpoint(trial, parts, tmp_path / "ray" / "a")
    record = read_history(parts.journal.file).trials[0]
    assert (record.checkpoint, record.checkpoint_epoch) == (str(tmp_path / "ray" / "a"), 3)


def test_checkpoints_of_ended_trials_go_but_for_the_best_ones(parts, make_trial, tmp_path):
    trials = [make_trial(0), make_trial(1)]
    places = [tmp_path / "ray" / name for name in "ab"]
    for trial, place, iou in zip(trials, places, (0.5, 0.4), strict=True):
        report(trial, parts, 1, "finished", iou=iou)
        save_checkpoint(trial, parts, place)
    parts.recorder.on_trial_complete(1, trials, trials[0])
    assert [place.is_dir() for place in places] == [True, True], "trial 1 may still need its own"
    parts.recorder.on_trial_complete(1, trials, trials[1])
    assert [place.is_dir() for place in places] == [True, False]


def test_a_retraining_keeps_every_checkpoint(script, make_trial, tmp_path):
    """Each fold's network is a member of the ensemble."""
    stage = StageFolder(root=script.journal.file.parent)
    parts = SimpleNamespace(recorder=Recorder(script.journal, stage, None, None))
    places = [tmp_path / "ray" / name for name in "ab"]
    for number, place in enumerate(places):
        script.ask(number, fold=number)
        trial = make_trial(number)
        report(trial, parts, 1, "finished", iou=0.5 - number / 10)
        save_checkpoint(trial, parts, place)
        parts.recorder.on_trial_complete(1, [trial], trial)
    assert all(place.is_dir() for place in places)
    assert [event["outcome"] for event in read_events(script.journal.file) if event["event"] == "ended"] == [
        "finished",
        "finished",
    ]


def test_verdict_of_a_driver_that_died_is_carried_out_on_resume(parts, make_trial, tmp_path):
    # Trial 1 is stopped at the rung, trial 0 is better and goes on; the driver dies before it writes an end.
    for number, iou in ((1, 0.4), (0, 0.5)):
        parts.asha.judge(number, 1, iou)
        trial = make_trial(number)
        report(trial, parts, 1, iou=iou)
        save_checkpoint(trial, parts, tmp_path / str(number))
    assert [record.number for record in parts.journal.history.unfinished] == [0, 1]
    parts.recorder.end_judged()
    assert [record.number for record in parts.journal.history.unfinished] == [0]
    ended = parts.journal.history.trials[1]
    assert ended.outcome is Outcome.STOPPED
    assert "rank 1 of 1" in ended.message
    assert parts.asha.waits(1)


def test_epoch_that_is_trained_again_keeps_the_time_of_its_first_report(parts, make_trial):
    # MLflow tells points apart by their time: with another one the epoch would be there twice.
    for _ in range(2):
        report(make_trial(0), parts, 1, iou=0.5)
    first, second = (one["time"] for one in read_events(parts.journal.file) if one["event"] == "epoch")
    assert first == second


def test_only_the_best_finished_trials_checkpoint_is_kept(parts, make_trial, tmp_path):
    kept = []
    for number, iou in ((0, 0.5), (1, 0.7)):
        trial = make_trial(number)
        report(trial, parts, 1, "finished", iou=iou)
        save_checkpoint(trial, parts, tmp_path / f"checkpoint_{number}")
        parts.recorder.on_trial_complete(1, [trial], trial)
        kept.append([(tmp_path / f"checkpoint_{other}").exists() for other in range(number + 1)])
    assert kept == [[True], [False, True]]


def test_checkpoint_of_a_run_before_a_resume_is_deleted_when_a_newer_one_is_there(parts, make_trial, tmp_path):
    trial = make_trial(0)
    report(trial, parts, 1, iou=0.5)
    save_checkpoint(trial, parts, tmp_path / "run-1" / "checkpoint")
    report(trial, parts, 2, iou=0.6)
    save_checkpoint(trial, parts, tmp_path / "run-2" / "checkpoint")
    assert not (tmp_path / "run-1" / "checkpoint").exists()
    assert (tmp_path / "run-2" / "checkpoint").exists()
