import pytest

from search.tracking.refreshed import Refreshed


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def times_written(*, takes: float, is_steady: bool, until: int) -> list[float]:
    """Seconds at which something was written that is looked at once a second."""
    clock, written = Clock(), []

    def write() -> None:
        written.append(clock.now)
        clock.now += takes

    shown = Refreshed("it", write, 10.0, 40.0, is_steady=is_steady, clock=clock)
    while clock.now < until:
        shown.write(now=False)
        clock.now += 1
    return written


def test_what_is_steady_is_written_as_often_all_along():
    assert times_written(takes=0.0, is_steady=True, until=35) == [0.0, 10.0, 20.0, 30.0]


def test_what_is_not_steady_becomes_rarer_up_to_a_limit():
    assert times_written(takes=0.0, is_steady=False, until=160) == [0.0, 10.0, 30.0, 70.0, 110.0, 150.0]


def test_what_takes_long_is_written_less_often_up_to_a_limit():
    # 1 s of work and then 20 of pause; with 4 s it would be 80, and the most is 40.
    assert times_written(takes=1.0, is_steady=True, until=45) == [0.0, 21.0, 42.0]
    assert times_written(takes=4.0, is_steady=True, until=90) == [0.0, 44.0, 88.0]


def test_what_fails_is_tried_again_after_the_same_pause_or_at_once_when_it_is_asked_for():
    clock, tried = Clock(), []

    def fail() -> None:
        tried.append(clock.now)
        raise OSError

    shown = Refreshed("it", fail, 10.0, 40.0, is_steady=True, clock=clock)
    for seconds, now in ((0.0, False), (5.0, False), (6.0, True), (16.0, False)):
        clock.now = seconds
        if seconds == 5.0:
            shown.write(now=now)
            continue
        with pytest.raises(OSError):
            shown.write(now=now)
    assert tried == [0.0, 6.0, 16.0]
