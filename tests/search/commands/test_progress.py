import io
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import pytest

from search.commands.console import PlainConsole
from search.commands.progress import ProgressLog, TrialNews, Wait
from search.memory.events import Asked, CheckpointSaved, Ended, Epoch, Reopened, Restarted
from search.memory.history import History
from search.memory.outcome import Outcome
from segcore.config import TrainConfig


def make_wait(*problems: str | None, is_urgent: bool = False) -> Wait:
    """What is waited for at each look, one after the other."""
    told = iter(problems)
    return Wait(tell=lambda: next(told), over="it is back", is_urgent=is_urgent)


def test_log_says_once_that_something_is_waited_for_and_once_that_it_is_back():
    out = PlainConsole(file=io.StringIO())
    wait = make_wait(None, "MLflow waits (refused)", "MLflow waits (timed out)", None, None, "MLflow waits (refused)")
    log = ProgressLog(lambda: "a line", waits=[wait], status="", out=out)
    for _ in range(6):
        log.tell()
    assert out.file.getvalue().splitlines() == [
        *("a line", "MLflow waits (refused)", "a line", "a line", "it is back", "a line", "a line"),
        *("MLflow waits (refused)", "a line"),
    ]


def test_log_says_at_once_what_is_urgent_and_the_rest_with_the_next_line():
    out = PlainConsole(file=io.StringIO())
    waits = [make_wait("the bucket waits"), make_wait(None, "waiting for a node", "for two", None, is_urgent=True)]
    log = ProgressLog(lambda: "a line", waits=waits, status="", out=out)
    for _ in range(3):
        log.notice_urgent()
    assert out.file.getvalue().splitlines() == ["waiting for a node"]
    log.tell()
    assert out.file.getvalue().splitlines()[1:] == ["the bucket waits", "it is back", "a line"]


def test_log_tells_each_warning_of_its_run_once():
    warnings = ["of an earlier run"]
    out = PlainConsole(file=io.StringIO())
    log = ProgressLog(lambda: "a line", find_warnings=lambda: warnings, status="", out=out)
    log.tell()
    warnings += ["trial 3 hangs", "trial 4 hangs"]
    log.tell()
    log.tell_news()
    assert out.file.getvalue().splitlines() == ["a line", "trial 3 hangs", "trial 4 hangs", "a line"]


def test_log_that_nobody_reads_any_more_goes_on_and_says_so_once_where_errors_go():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        out, err = PlainConsole(file=stream), PlainConsole(file=io.StringIO())
        log = ProgressLog(lambda: "a line", status="python -m search status streets", out=out, err=err)
        log.tell()
        os.close(reading)
        for _ in range(3):
            log.tell()
    assert err.file.getvalue() == (
        "The output is closed or full; the search goes on without it, see 'python -m search status streets'.\n"
    )


@pytest.fixture
def full_stream() -> Iterator[TextIO]:
    """A stream that takes no more: a pipe that is full, where nobody waits."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        yield stream
    os.close(reading)


def test_log_whose_disk_is_full_goes_on_and_says_so_once_where_errors_go(full_stream):
    out, err = PlainConsole(file=full_stream), PlainConsole(file=io.StringIO())
    log = ProgressLog(lambda: "a line", status="python -m search status streets", out=out, err=err)
    for _ in range(3):
        log.tell()
    assert out.is_cut
    assert err.file.getvalue().count("The output is closed or full; the search goes on without it") == 1


def test_each_end_of_a_trial_is_told_once_with_its_score_and_why():
    history, values = History("iou"), TrainConfig.from_values({}).values()
    told_before = Ended(trial=0, outcome=Outcome.FINISHED, time=5.0)
    for event in (Asked(trial=0, fold=0, values=values, params={}), told_before):
        history.apply(event)
    news = TrialNews(history)
    for event in (
        Asked(trial=1, fold=0, values=values, params={}),
        Epoch(trial=1, epoch=1, metrics={"iou": 0.25}),
        Ended(trial=1, outcome=Outcome.STOPPED, message="iou 0.25 after epoch 1 is rank 2 of 2; of every 2", time=6.0),
    ):
        history.apply(event)
    configuration = "resnet34, loss ce, full size, lr 0.001"
    assert news.pop(history) == [
        f"trial 1 stopped by ASHA after epoch 1, best iou 0.2500 (rank 2 of 2 after epoch 1): {configuration}"
    ]
    assert news.pop(history) == []
    for event in (
        Reopened(trial=1),
        Epoch(trial=1, epoch=2, metrics={"iou": 0.5}),
        Ended(trial=1, outcome=Outcome.FINISHED, time=7.0),
    ):
        history.apply(event)
    assert news.pop(history) == [f"trial 1 finished after epoch 2, best iou 0.5000: {configuration}"]


def test_each_worker_that_a_trial_lost_is_told_once_with_where_it_goes_on_and_why():
    history, values = History("iou"), TrainConfig.from_values({}).values()
    for event in (Asked(trial=0, fold=0, values=values, params={}), Restarted(trial=0, message="told before")):
        history.apply(event)
    news = TrialNews(history, "training")
    history.apply(
        Restarted(trial=0, message="Traceback:\n  Ray ended its worker\nits node ran out of memory; let fewer run\n")
    )
    assert news.pop(history) == [
        "training 0 lost its worker and begins anew: its node ran out of memory; let fewer run"
    ]
    assert news.pop(history) == []
    for event in (
        Epoch(trial=0, epoch=1, metrics={"iou": 0.25}),
        CheckpointSaved(trial=0, epoch=1, path="a"),
        Restarted(trial=0),
        Ended(trial=0, outcome=Outcome.FAILED, message="it died", time=6.0),
    ):
        history.apply(event)
    assert news.pop(history) == [
        "training 0 lost its worker and goes on after epoch 1",
        "training 0 failed after epoch 1, best iou 0.2500 (it died): resnet34, loss ce, full size, lr 0.001",
    ]


def test_log_tells_each_trial_that_ends_with_the_next_look():
    out, news = PlainConsole(file=io.StringIO()), [["trial 3 finished"], [], ["trial 4 failed", "trial 5 finished"]]
    log = ProgressLog(lambda: "a line", status="", out=out, pop_news=lambda: news.pop(0))
    for _ in range(3):
        log.notice_urgent()
    assert out.file.getvalue().splitlines() == ["trial 3 finished", "trial 4 failed", "trial 5 finished"]
