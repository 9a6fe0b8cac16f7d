from search.memory.events import Asked, Closed, Ended, Epoch, Opened, Reopened
from search.memory.outcome import Outcome
from search.tracking.sent import Sent, stamp_of


def epoch(number: int, time: float) -> Epoch:
    return Epoch(trial=0, epoch=number, metrics={"iou": 0.5}, time=time)


def test_an_epoch_is_new_once_and_one_that_is_trained_again_is_named():
    sent, first, again = Sent(), epoch(1, 10.0), epoch(1, 20.0)
    assert sent.is_new(first)
    for event in (first, epoch(2, 11.0), first):
        sent.apply(event)
    assert not sent.is_new(again)
    assert sent.again == {}
    sent.apply(again)
    assert sent.again == {0: {1}}


def test_an_epoch_that_mlflow_has_already_is_not_new():
    sent = Sent()
    sent.know(0, 1, 10_000)
    assert not sent.is_new(epoch(1, 10.0))
    sent.apply(epoch(1, 10.0))
    assert sent.again == {}
    sent.apply(epoch(1, 10.5))
    assert sent.again == {0: {1}}


def test_trials_are_open_until_they_end_and_again_when_they_go_on():
    sent = Sent()
    sent.apply(Asked(trial=3, fold=0, values={}, params={}))
    assert sent.open_trials == {3}
    sent.apply(Ended(trial=3, outcome=Outcome.STOPPED))
    assert sent.open_trials == set()
    sent.apply(Reopened(trial=3))
    assert sent.open_trials == {3}


def test_a_stage_is_closed_until_it_is_opened_again():
    sent = Sent()
    assert not sent.is_closed
    sent.apply(Closed(metrics={}, note="", time=30.0))
    assert sent.is_closed
    sent.apply(Opened(cache_key="key", time=20.0))
    assert not sent.is_closed
    assert sent.time == 30.0


def test_mlflow_counts_in_whole_milliseconds():
    assert stamp_of(epoch(1, 1.2345678)) == 1234
