import pytest

from search.insight.cost import account_stages, count_spared_epochs, is_taken_over, name_device_hours
from search.memory.events import Asked, CheckpointSaved, Ended, Epoch, Opened
from search.memory.history import History
from search.memory.outcome import Outcome


def train(history: History, trial: int, epochs: int, place: str = "ray/a") -> None:
    """Epochs that took a quarter of an hour each, by the worker's word."""
    history.apply(Asked(trial=trial, fold=0, values={"epochs": 4}, params={}, time=0))
    for epoch in range(1, epochs + 1):
        metrics = {"iou": 0.5, "seconds": 900.0}
        history.apply(Epoch(trial=trial, epoch=epoch, metrics=metrics, time=900.0 * epoch))
    history.apply(CheckpointSaved(trial=trial, epoch=epochs, path=place, time=900.0 * epochs))
    history.apply(Ended(trial=trial, outcome=Outcome.FINISHED, time=900.0 * epochs))


def run(*trainings: tuple[int, str]) -> History:
    history = History("iou")
    history.apply(Opened(cache_key="key", time=0))
    for trial, (epochs, place) in enumerate(trainings):
        train(history, trial, epochs, place)
    return history


@pytest.fixture
def record(make_record):
    """A search of two trials, and a retraining of two folds, of which the confirmation had trained one."""
    return make_record(
        run((1, "ray/b"), (4, "ray/a")),
        confirmation=run((4, "ray/c")),
        retraining=run((4, "../confirm/ray/c"), (2, "ray/d")),
        place={"gpus_per_trial": 0.5},
    )


def test_each_stage_is_accounted_for_once(record):
    search, confirm, retrain = account_stages(record)
    # Five quarters of an hour on half a GPU, and an hour on the clock.
    assert (search.stage, search.trainings, search.epochs, search.device_hours) == ("search", 2, 5, 0.625)
    assert search.seconds == 3600
    assert (confirm.trainings, confirm.device_hours) == (1, 0.5)
    # What was taken over cost nothing here.
    assert (retrain.trainings, retrain.epochs, retrain.device_hours) == (1, 2, 0.25)
    assert [is_taken_over(each) for each in record.retraining.in_order] == [True, False]


def test_hours_are_of_gpus_or_of_cores(record, make_record):
    assert name_device_hours(record.place) == "GPU-hours"
    on_cpus = make_record(run((4, "ray/a")), place={"cpus_per_trial": 2})
    assert name_device_hours(on_cpus.place) == "core-hours"
    assert account_stages(on_cpus)[0].device_hours == 2.0


def test_epochs_that_waiting_trials_would_have_taken_are_spared(make_record, make_trials):
    stopped = {"outcome": "stopped by ASHA"}
    history = make_trials({"ious": [0.1], **stopped}, {"ious": [0.1] * 3, **stopped}, {"ious": [0.1, 0.2]})
    assert count_spared_epochs(make_record(history)) == 3 + 1
