import io
import sys
import threading

import pytest

from search.commands.console import PlainConsole
from search.commands.display import show_importance, show_interrupted
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


@pytest.mark.parametrize(("trials", "shown"), [(11, False), (12, True)])
def test_importance_is_shown_once_enough_trials_tell(make_history, make_settings, capsys, trials, shown):
    def write(script):
        for trial in range(trials):
            script.ask(trial, params={"backbone": "ab"[trial % 2]})
            script.epochs(trial, 0.4 + 0.2 * (trial % 2))
            script.end(trial)

    show_importance(make_settings(epochs=1), make_history(write))
    assert ("What mattered" in capsys.readouterr().out) is shown


def test_an_interrupted_stage_leaves_a_summary_in_which_nothing_runs(make_history, make_settings, capsys):
    def write(script):
        script.ask(0)
        script.write("started", trial=0)
        script.epochs(0, 0.25)

    show_interrupted(make_history(write), make_settings(trials=9), trials=3)
    told = capsys.readouterr().out
    assert "1 of 3 trials  ·  0 running  ·  1 waiting" in told
    assert "best iou 0.2500 in trial 0" in told
