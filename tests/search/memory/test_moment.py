import time

from search.memory import moment
from search.memory.events import Epoch, Halted, Opened
from search.memory.history import History


def test_moments_are_those_of_the_day():
    assert abs(moment.now() - time.time()) < 60


def test_clock_that_is_set_meanwhile_moves_no_event(monkeypatch):
    """An hour ahead and then a day back; the run has lasted as long as it has, and its events stay in order."""
    history, events = History("iou"), [Opened(cache_key="key")]
    real = time.time
    for jump in (3600.0, -86400.0):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        events.append(Epoch(trial=0, epoch=1, metrics={"iou": 0.5}))
    events.append(Halted())
    for event in (events[0], events[-1]):
        history.apply(event)
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert 0 <= history.spent_seconds < 60
