"""`status` and `best` as processes of their own, on searches whose journals hold what data may hold."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from search.folder import SearchFolder
from search.place import write_place
from search.settings import write_settings
from segcore.data.dividing.split import FoldSplit, write_folds

ROOT = Path(__file__).parents[3]
LIGHT = [["status", "streets"], ["best", "streets"], ["--help"], ["launch", "--help"]]
HEAVY = ("ray", "mlflow", "torch", "sklearn", "pandas", "pyarrow")


@pytest.fixture
def make_search(make_settings, make_place, make_history, tmp_path) -> Callable[[int], SearchFolder]:
    """Return a function that writes a search whose values and messages hold brackets, escapes and what ASCII lacks."""

    def make(trials: int) -> SearchFolder:
        def write(script) -> None:
            for trial in range(trials):
                script.ask(trial, params={"loss": ("[/red]", "[b]\x1b[1m")[trial % 2]})
                script.epochs(trial, 0.5 + trial / 1000)
                script.end(trial, "failed" if trial == 7 else "finished", "[/b] \x1b[31mStraße · \u202e")
            values = {**script.journal.history.trials[0].values, "backbone": "[/red]\x1b[2J", "weights": "ß · €"}
            script.write("asked", trial=trials, fold=0, values=values, params={})
            script.write("epoch", trial=trials, epoch=1, metrics={"iou": 0.9})

        settings = make_settings(trials=trials + 1)
        place = make_place()
        folder = SearchFolder(root=place.storage / settings.name)
        folder.root.mkdir(parents=True)
        write_settings(settings, folder.settings)
        write_place(place, folder.place)
        cases = {str(number): number for number in range(7)}
        write_folds(FoldSplit(folds=7, fold_of=cases, block_of={name: name for name in cases}), folder.folds)
        make_history(write)
        (tmp_path / "history" / "journal.jsonl").rename(folder.search_stage.journal)
        return folder

    return make


def start(folder: SearchFolder, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    where = ["--storage", str(folder.root.parent)] if "--help" not in arguments else []
    return subprocess.Popen(
        [sys.executable, "-m", "search", *arguments, *where],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


PLAIN = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


# What a terminal takes is one matter, what a command prints another: each is seen, and all of the hardest terminal.
@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({}, "status"),
        ({"PYTHONIOENCODING": "ascii"}, "best"),
        (PLAIN, "status --importance"),
        (PLAIN, "best"),
    ],
    ids=["utf-8", "ascii", "C", "C-best"],
)
def test_any_value_is_shown_on_any_terminal(make_search, command, environment):
    with start(make_search(40), *command.split(), "streets", **environment) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "[/red][2J" in out
    assert ("What mattered" in out) is ("--importance" in command)
    assert "\x1b" not in out


def test_importance_that_few_trials_cannot_tell_is_answered_in_words(make_search):
    with start(make_search(4), "status", "streets", "--importance") as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "Which hyperparameters matter? Too few trials have ended to say" in out
    assert "Importance is told from 12 trials on" in " ".join(out.split())


@pytest.mark.parametrize("command", ["status", "best"])
def test_reader_that_leaves_early_is_no_error(make_search, command):
    """What `| head -1` does: it reads a line and closes the pipe."""
    with start(make_search(40), command, "streets") as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_import_nothing_heavy(make_search, arguments):
    if "--help" not in arguments:
        arguments = [*arguments, "--storage", str(make_search(40).root.parent)]
    program = (
        "import sys\nfrom search.__main__ import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code\n"
        f"sys.exit(' '.join(name for name in {HEAVY} if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""
