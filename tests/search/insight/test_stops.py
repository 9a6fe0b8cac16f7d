import pytest

from search.insight.stops import Stop, Stops
from search.memory.events import Asked, Ended, Epoch, Reopened
from search.memory.outcome import Outcome


def ask(trial: int) -> Asked:
    return Asked(trial=trial, fold=0, values={}, params={}, time=1)


def stop(trial: int, epoch: int, verdict: str, time: float) -> list:
    return [
        Epoch(trial=trial, epoch=epoch, metrics={"iou": 0.1}, verdict=verdict, time=time),
        Ended(trial=trial, outcome=Outcome.STOPPED, time=time),
    ]


@pytest.fixture
def stops() -> Stops:
    """A trial that is stopped, goes on and is stopped again; one that is stopped; one that finishes."""
    found = Stops()
    for event in [
        ask(0), ask(1), ask(2),
        *stop(0, 1, "rank 2 of 2", 2), *stop(1, 1, "rank 3 of 3", 3),
        Reopened(trial=0, time=4), *stop(0, 2, "rank 4 of 4", 5),
        Epoch(trial=2, epoch=4, metrics={"iou": 0.5}, time=6), Ended(trial=2, outcome=Outcome.FINISHED, time=6),
    ]:  # fmt: skip
        found.apply(event)
    return found


def test_every_stop_is_kept_with_its_reason_and_when_the_trial_went_on(stops):
    assert stops.all == [
        Stop(trial=0, epoch=1, reason="rank 2 of 2", time=2, taken_up=4),
        Stop(trial=1, epoch=1, reason="rank 3 of 3", time=3),
        Stop(trial=0, epoch=2, reason="rank 4 of 4", time=5),
    ]
    assert [(each.trial, each.epoch) for each in stops.taken_up] == [(0, 1)]


def test_a_trial_that_is_asked_for_again_was_never_stopped(stops):
    stops.apply(ask(0))
    assert [each.trial for each in stops.all] == [1]
    # Nor does it have the epochs of the other training.
    stops.apply(Ended(trial=0, outcome=Outcome.STOPPED, message="a person's wish", time=8))
    assert stops.all[1] == Stop(trial=0, epoch=0, reason="a person's wish", time=8)


def test_a_trial_that_goes_on_again_went_on_before_when_it_did(stops):
    stops.apply(Reopened(trial=0, time=7))
    assert [each.taken_up for each in stops.all] == [4, None, 7]
