import io
import os
import sys
import threading

import pytest

from search.commands.console import PlainConsole
from search.commands.display import ProgressLog, show_importance
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


def test_log_says_once_that_mlflow_is_away_and_once_that_it_is_back():
    problems = iter([None, "refused", "timed out", None, None, "refused"])
    out = PlainConsole(file=io.StringIO())
    log = ProgressLog(lambda: "a line", lambda: next(problems), status="", out=out)
    for _ in range(6):
        log.tell()
    assert out.file.getvalue().splitlines() == [
        "a line",
        "MLflow waits (refused); nothing is lost",
        "a line",
        "a line",
        "MLflow is back and gets what it missed",
        "a line",
        "a line",
        "MLflow waits (refused); nothing is lost",
        "a line",
    ]


def test_log_says_once_that_trials_wait_for_a_node_and_once_that_there_is_one():
    lacks = iter([None, "waiting for a node", "waiting for two", None, None])
    stream = io.StringIO()
    log = ProgressLog(lambda: "", lambda: None, status="", find_lack=lambda: next(lacks), out=PlainConsole(file=stream))
    for _ in range(5):
        log.notice_wait()
    assert stream.getvalue() == "waiting for a node\nthere is a node for trials\n"


def test_log_tells_each_warning_of_its_run_once():
    warnings = ["of an earlier run"]
    out = PlainConsole(file=io.StringIO())
    log = ProgressLog(lambda: "a line", lambda: None, lambda: warnings, status="", out=out)
    log.tell()
    warnings += ["trial 3 hangs", "trial 4 hangs"]
    log.tell()
    log.tell_news()
    assert out.file.getvalue().splitlines() == ["a line", "trial 3 hangs", "trial 4 hangs", "a line"]


def test_log_that_nobody_reads_any_more_goes_on_and_says_so_once_where_errors_go():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        out, err = PlainConsole(file=stream), PlainConsole(file=io.StringIO())
        log = ProgressLog(lambda: "a line", lambda: None, status="python -m search status streets", out=out, err=err)
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


def test_log_says_once_that_the_bucket_is_away_and_once_that_it_is_back():
    problems = iter([None, "the bucket waits (refused)", "the bucket waits (timed out)", None, None])
    out = PlainConsole(file=io.StringIO())
    log = ProgressLog(lambda: "a line", lambda: None, find_copying=lambda: next(problems), status="", out=out)
    for _ in range(5):
        log.tell()
    assert out.file.getvalue().splitlines() == [
        *("a line", "the bucket waits (refused)", "a line", "a line"),
        *("the bucket is back and gets what it missed", "a line", "a line"),
    ]
