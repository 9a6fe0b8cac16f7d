import io
import os
import sys
import threading

import pytest

from search.commands.console import PlainConsole
from search.commands.display import ProgressLog, Wait, show_importance
from search.commands.tables import progress_panel, summary_line
from search.memory.events import Asked, Ended, Epoch, Reopened, Started
from search.memory.history import History
from search.memory.outcome import Outcome
from segcore.config import TrainConfig


@pytest.fixture
def hasty_threads():
    """Lets threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_display_reads_a_history_that_is_being_written(make_settings, hasty_threads):
    history, values = History("iou"), TrainConfig.from_values({}).values()
    done = threading.Event()

    def write() -> None:
        try:
            for trial in range(150):
                history.apply(Asked(trial=trial, fold=0, values=values, params={}))
                history.apply(Started(trial=trial))
                for epoch in range(1, 9):
                    history.apply(Epoch(trial=trial, epoch=epoch, metrics={"iou": 0.5, "seconds": 1.0}))
                history.apply(Ended(trial=trial, outcome=Outcome.STOPPED))
                history.apply(Reopened(trial=trial // 2))
        finally:
            done.set()

    settings, shown = make_settings(trials=150), 0
    writer = threading.Thread(target=write)
    writer.start()
    console = PlainConsole(file=io.StringIO())
    while not done.is_set() or not shown:
        console.print(progress_panel(history, settings, concurrent=2, about="here"))
        console.print(summary_line(history, settings))
        shown += 1
    writer.join()
    console.print(summary_line(history, settings))
    assert "150 of 150 trials" in console.file.getvalue()


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
        "The output is closed; the search goes on without it, see 'python -m search status streets'.\n"
    )


@pytest.mark.parametrize(("trials", "shown"), [(11, False), (12, True)])
def test_importance_is_shown_once_enough_trials_tell(make_history, make_settings, capsys, trials, shown):
    def write(script):
        for trial in range(trials):
            script.ask(trial, params={"backbone": "ab"[trial % 2]})
            script.epochs(trial, 0.4 + 0.2 * (trial % 2))
            script.end(trial)

    show_importance(make_settings(epochs=1), make_history(write))
    assert ("What mattered" in capsys.readouterr().out) is shown
