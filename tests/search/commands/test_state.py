import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from search.__main__ import app
from search.commands.display import show_best, show_failed_trainings, show_front
from search.commands.state import show_retraining, show_state, show_unfinished
from search.finding import lock_stage
from search.folder import SearchFolder
from search.judge.progress import build_asha
from search.memory.events import Asked, Closed, Ended, Epoch, Halted, Opened, Started
from search.memory.history import History
from search.memory.journal import Journal, read_history, replay
from search.memory.outcome import Outcome
from search.settings import SearchSettings, write_settings
from search.verdict.selection import name_winner
from segcore.config import TrainConfig
from segcore.data.dividing.split import FoldSplit, write_folds


class Search:
    """A search on disk whose best two are to be confirmed on fold 1.

    Args:
        settings: of it.
        storage: folder of all searches.
    """

    def __init__(self, settings: SearchSettings, storage: Path) -> None:
        self.settings = settings
        self.folder = SearchFolder(root=storage / settings.name)
        self.folder.root.mkdir(parents=True)
        write_settings(settings, self.folder.settings)
        split = FoldSplit(folds=2, fold_of={"a": 0, "b": 1}, block_of={"a": "x", "b": "y"})
        write_folds(split, self.folder.folds)

    def try_out(self, *ious: float | None, outcome: Outcome | None = Outcome.FINISHED, message: str = "") -> None:
        journal = Journal(self.folder.search_stage.journal, "iou")
        journal.write(Opened(cache_key="key", time=100.0))
        for trial, iou in enumerate(ious):
            values = TrainConfig.from_values({"batch_size": trial + 1, "epochs": 1}).values()
            journal.write(Asked(trial=trial, fold=0, values=values, params={}, time=100.0))
            journal.write(Started(trial=trial, time=100.0))
            if iou is not None:
                metrics = {"iou": iou, "latency_ms": 10.0 * (trial + 1)}
                journal.write(Epoch(trial=trial, epoch=1, metrics=metrics, time=160.0))
            if outcome is not None:
                journal.write(Ended(trial=trial, outcome=outcome, message=message, time=160.0))
        journal.write(Halted(time=160.0))
        journal.close()

    def confirm(self, source: int, iou: float | None, outcome: Outcome = Outcome.FINISHED) -> None:
        journal = Journal(self.folder.confirm_stage.journal, "iou")
        number = len(journal.history.trials)
        journal.write(Asked(trial=number, fold=1, values={"epochs": 1}, params={}, source=source))
        if iou is not None:
            journal.write(Epoch(trial=number, epoch=1, metrics={"iou": iou}))
        journal.write(Ended(trial=number, outcome=outcome, message="" if iou else "no disk [Errno 28]"))
        journal.write(Closed(metrics={}, note=""))
        journal.close()

    def tell(self, capsys: pytest.CaptureFixture[str], *, names_best: bool = True) -> str:
        history, asha = History("iou"), build_asha(self.settings)
        replay(self.folder.search_stage.journal, history, asha)
        show_state(self.settings, self.folder, history, asha, names_best=names_best)
        return " ".join(capsys.readouterr().out.split())


@pytest.fixture
def make_search(make_settings, tmp_path):
    def make(**changes: object) -> Search:
        settings = make_settings(**{"trials": 3, "epochs": 1, "confirm": 2, "folds": 2, **changes})
        return Search(settings, tmp_path / "elsewhere")

    return make


def test_search_that_has_not_begun_is_gone_on_with(make_search, capsys):
    assert make_search().tell(capsys).startswith("No process runs it; go on with 'python -m search resume streets")


def test_search_that_was_interrupted_is_gone_on_with(make_search, capsys):
    search = make_search(trials=9)
    search.try_out(0.5, 0.7)
    assert search.tell(capsys).startswith("No process runs it; go on with 'python -m search resume streets")


def test_search_whose_time_is_spent_is_granted_more(make_search, capsys):
    """60 s were spent, from 100 to 160."""
    search = make_search(trials=9, time_budget_seconds=60.0)
    search.try_out(0.5, 0.7)
    assert "Its time budget is spent; go on with 'python -m search resume streets --time-budget 1h" in search.tell(
        capsys
    )


def test_run_that_ended_by_its_time_budget_says_so_and_one_that_is_over_does_not(make_search, capsys):
    search = make_search(trials=2, time_budget_seconds=60.0)
    search.try_out(0.5, 0.7)
    show_unfinished(search.settings, search.folder)
    assert capsys.readouterr().out == ""
    show_unfinished(replace(search.settings, trials=9), search.folder)
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith("Its time budget is spent; go on with 'python -m search resume streets --time-budget 1h")


def test_search_that_runs_needs_nothing(make_search, capsys):
    search = make_search(trials=9)
    search.try_out(0.5)
    with lock_stage(search.folder.search_stage):
        assert search.tell(capsys) == "A process runs it now; what is best so far may change."


@pytest.mark.parametrize(
    ("outcome", "again"), [(Outcome.FAILED, True), (Outcome.OUT_OF_MEMORY, True), (Outcome.DIVERGED, False)]
)
def test_search_whose_trials_all_failed_says_why(make_search, capsys, outcome, again):
    search = make_search()
    search.try_out(None, None, 0.4, outcome=outcome, message="no disk [/red]")
    told = search.tell(capsys)
    assert told.startswith(f"No trial can win: 3 {outcome}. The last to end, trial 0, {outcome}: no disk [/red]")
    assert ("try again with 'python -m search resume streets --retry-failed" in told) is again
    assert ("They would end so again: launch a search with another limit" in told) is not again
    assert "confirm" not in told


@pytest.mark.parametrize(("trials", "outcome"), [(9, Outcome.DIVERGED), (3, Outcome.PRUNED)])
def test_another_search_is_advised_only_where_no_trial_is_to_come_and_no_person_ended_all(
    make_search, capsys, trials, outcome
):
    search = make_search(trials=trials)
    search.try_out(None, None, None, outcome=outcome)
    told = search.tell(capsys)
    assert f"No trial can win: 3 {outcome}." in told and "launch" not in told


def test_search_that_is_not_to_be_confirmed_says_what_its_winner_is_worth(make_search, capsys):
    search = make_search(confirm=0)
    search.try_out(0.5, 0.7, 0.6)
    told = search.tell(capsys)
    assert told.startswith("The winner is the best on fold 0 alone, whose score flatters; 'python -m search confirm ")
    assert "--top 3" in told


def test_single_configuration_has_nobody_to_be_compared_with(make_search, capsys):
    search = make_search(trials=1)
    search.try_out(0.5)
    assert search.tell(capsys) == "The winner is the best on fold 0 alone, whose score flatters."


def test_confirmation_that_is_due_runs_and_is_done(make_search, capsys):
    search = make_search()
    search.try_out(0.5, 0.7, 0.6)
    due = "The winner is not confirmed on further folds yet ({} of at most 2 trainings); run 'python -m search confirm"
    assert search.tell(capsys).startswith(due.format(0))
    # One that others overtook is none of the two.
    search.confirm(0, 0.5)
    assert search.tell(capsys).startswith(due.format(0))
    search.confirm(1, 0.6)
    assert search.tell(capsys).startswith(due.format(1))
    with lock_stage(search.folder.confirm_stage):
        assert search.tell(capsys) == "The best configurations are trained on further folds now; the winner may change."
    search.confirm(2, 0.65)
    told = search.tell(capsys)
    assert told.startswith("Confirmed on 1 further fold: trial 2, iou 0.6500; 'python -m search best streets")
    # Where it was shown, no command is named for that.
    shown = search.tell(capsys, names_best=False)
    assert shown.startswith("Confirmed on 1 further fold: trial 2, iou 0.6500. 'python -m search retrain streets")
    assert "python -m search retrain streets" in told
    search.folder.model.mkdir(parents=True)
    assert search.tell(capsys).endswith(f"Trained on all folds: {search.folder.model}")


def test_search_that_is_out_of_time_is_not_to_be_gone_on_with_while_it_is_confirmed(make_search, capsys):
    search = make_search(trials=9, time_budget_seconds=60.0)
    search.try_out(0.5, 0.7, 0.6)
    told = "The best configurations are trained on further folds now; the winner may change."
    with lock_stage(search.folder.confirm_stage):
        assert search.tell(capsys) == told
    assert "Its time budget is spent" in search.tell(capsys)


def test_retraining_of_an_earlier_winner_is_named_with_what_to_do(make_search, capsys):
    search = make_search()
    search.try_out(0.5, 0.7, 0.6)
    search.confirm(1, 0.6)
    search.confirm(2, 0.5)
    best = name_winner(search.settings, search.folder)

    def tell(batch_size: int) -> str:
        """Trial 1, which won, has batches of 2."""
        journal = Journal(search.folder.retrain_stage.journal, "iou")
        journal.write(Asked(trial=0, fold=0, values={**best.values, "batch_size": batch_size}, params={}))
        journal.close()
        show_retraining(search.folder, best)
        return search.tell(capsys)

    told = tell(2)
    assert "moved away" not in told
    assert "retrain streets --storage" in told
    told = tell(3)
    assert "streets/retrain, which is of an earlier winner, is moved away)" in told
    assert "streets/retrain is of an earlier winner; move it away, then 'python -m search retrain streets" in told


def test_retraining_that_was_stopped_is_gone_on_with_though_there_is_a_model_of_before(make_search, capsys):
    search = make_search()
    search.try_out(0.5, 0.7, 0.6)
    search.confirm(1, 0.6)
    search.confirm(2, 0.5)
    best = name_winner(search.settings, search.folder)
    search.folder.model.mkdir(parents=True)
    journal = Journal(search.folder.retrain_stage.journal, "iou")
    journal.write(Asked(trial=0, fold=0, values=best.values, params={}))
    told = search.tell(capsys)
    assert "Its training on all folds has not come to its end; 'python -m search retrain streets" in told
    journal.write(Closed(metrics={"iou": 0.6}, note=""))
    journal.close()
    assert search.tell(capsys).endswith(f"Trained on all folds: {search.folder.model}")


def test_looking_at_a_search_leaves_no_folders_behind(make_search, capsys):
    search = make_search()
    search.try_out(0.5, 0.7, 0.6)
    search.tell(capsys)
    assert {file.name for file in search.folder.root.iterdir() if file.is_dir()} == set()


def test_failed_trainings_of_the_confirmation_are_told(make_search, capsys):
    """Both candidates, trials 1 and 2, fail; trial 0 is none."""
    search = make_search()
    search.try_out(0.5, 0.7, 0.6)
    for source in (1, 2, 0):
        search.confirm(source, None, Outcome.FAILED)
    told = search.tell(capsys)
    assert told.startswith(
        "2 of 2 trainings of the confirmation have no score; the last, of trial 2 on fold 1, failed: no disk "
        "[Errno 28]. Mend the cause, then try again with 'python -m search confirm streets"
    )
    assert "Confirmed" not in told
    search.confirm(1, None)
    stages = search.folder.search_stage, search.folder.confirm_stage
    show_failed_trainings(search.settings, search.folder, *(read_history(stage.journal, "iou") for stage in stages))
    assert "on fold 1, finished: no disk" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("outcome", [Outcome.FINISHED, Outcome.FAILED])
def test_every_remedy_that_is_named_is_a_command(make_search, capsys, outcome):
    search = make_search(confirm=0)
    search.try_out(0.5, 0.7, 0.6, outcome=outcome)
    lines = re.findall(r"'python -m search ([^']*)'", search.tell(capsys))
    assert lines
    for line in lines:
        words = shlex.split(line)
        command, options = words[0], [word for word in words if word.startswith("--")]
        assert words[words.index("--storage") + 1] == str(search.folder.root.parent)
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
        assert all(option in shown for option in options)


def test_winner_is_written_and_shown_with_how_far_it_is_confirmed(make_search, capsys):
    search = make_search()
    search.try_out(0.5, 0.7, 0.6)
    show_best(name_winner(search.settings, search.folder))
    told = " ".join(capsys.readouterr().out.split())
    assert "Chosen by its score on fold 0 alone, the best of 3 trials: it flatters." in told
    search.confirm(1, 0.60)
    search.confirm(2, 0.65)
    found = name_winner(search.settings, search.folder)
    assert found.trial == 2
    assert search.folder.best.exists()
    show_best(found)
    told = " ".join(capsys.readouterr().out.split())
    assert "Confirmed on further folds" in told
    assert "It is the best of 2 on these folds, so this score still flatters; by how much, so few" in told
    assert "Chosen by its score" not in told


def test_front_is_shown_only_where_latency_is_an_objective(make_search, capsys):
    search = make_search()
    search.try_out(0.5, 0.7, 0.6)
    history = read_history(search.folder.search_stage.journal, "iou")
    show_front(search.settings, history)
    assert capsys.readouterr().out == ""
    show_front(replace(search.settings, objective="iou,latency_ms", max_latency_ms=40.0), history)
    told = capsys.readouterr().out
    rows = [line.split()[:4] for line in told.splitlines() if " ms " in line]
    assert rows == [["0", "10.0", "ms", "0.5000"], ["1", "20.0", "ms", "0.7000"]]
    assert "best.json holds the best iou within the limits; ASHA and the model sought all that no other" in told
