"""`prune`, `keep` and `stop` on a search that nobody runs; a running one is in `test_endings`."""

import pytest
from typer.testing import CliRunner

from search.__main__ import app
from search.finding import lock_stage
from search.folder import SearchFolder
from search.judge.progress import build_asha
from search.memory.events import Asked, CheckpointSaved, Ended, Epoch, Halted, Opened
from search.memory.history import History
from search.memory.journal import Journal, read_events, replay
from search.memory.outcome import Outcome
from search.place import write_place
from search.settings import write_settings
from segcore.config import TrainConfig
from segcore.errors import CheckpointError, ConfigError


@pytest.fixture
def folder(make_settings, make_place) -> SearchFolder:
    """A search of three trials that was interrupted: two wait at the first rung, one was training."""
    settings, place = make_settings(trials=3, epochs=8, grace_epochs=1), make_place()
    found = SearchFolder(root=place.storage / settings.name)
    found.root.mkdir(parents=True)
    write_settings(settings, found.settings)
    write_place(place, found.place)
    journal = Journal(found.search_stage.journal, "iou")
    journal.write(Opened(cache_key="key"))
    for trial, iou in enumerate((0.5, 0.4, 0.3)):
        values = TrainConfig.from_values({"batch_size": trial + 1}).values()
        journal.write(Asked(trial=trial, fold=0, values=values, params={}))
        journal.write(Epoch(trial=trial, epoch=1, metrics={"iou": iou}))
        journal.write(CheckpointSaved(trial=trial, epoch=1, path=f"ray/{trial}"))
        if trial < 2:
            journal.write(Ended(trial=trial, outcome=Outcome.STOPPED, message="rank"))
    journal.write(Halted())
    journal.close()
    return found


def run(folder: SearchFolder, *arguments: str) -> str:
    done = CliRunner().invoke(app, [*arguments, "--storage", str(folder.root.parent)], catch_exceptions=False)
    return " ".join(done.output.split())


def read(folder: SearchFolder, settings) -> tuple:
    history, asha = History("iou"), build_asha(settings)
    replay(folder.search_stage.journal, history, asha)
    return history, asha


def test_a_trial_is_kept_by_the_command_itself_where_nobody_runs_the_search(folder, make_settings):
    told = run(folder, "keep", "streets", "1", "--why", "promising")
    assert f"Trial 1 is spared from ASHA, and trains to its end; '{folder.command('resume')}' goes on with it." in told
    history, asha = read(folder, make_settings(trials=3, epochs=8, grace_epochs=1))
    assert history.trials[1].kept
    assert asha.find_promoted() == 1, "before trial 0, which stands higher"
    assert list(read_events(folder.search_stage.journal))[-1].reason.endswith(": promising")


def test_a_trial_is_pruned_by_the_command_itself_where_nobody_runs_the_search(folder, make_settings):
    assert "Trial 2 has ended after epoch 1 and goes on no more." in run(folder, "prune", "streets", "2")
    history, _ = read(folder, make_settings(trials=3, epochs=8, grace_epochs=1))
    assert history.trials[2].outcome is Outcome.PRUNED
    assert history.unfinished == []
    assert "pruned" in run(folder, "status", "streets")


def test_what_cannot_be_is_refused_and_writes_nothing(folder):
    before = folder.search_stage.journal.read_bytes()
    run(folder, "prune", "streets", "2")
    after = folder.search_stage.journal.read_bytes()
    assert after.startswith(before)
    for arguments in (("prune", "streets", "2"), ("keep", "streets", "2"), ("keep", "streets", "3")):
        with pytest.raises(ConfigError):
            run(folder, *arguments)
    assert folder.search_stage.journal.read_bytes() == after


def test_trials_are_left_alone_while_the_winner_is_confirmed(folder):
    with lock_stage(folder.confirm_stage), pytest.raises(CheckpointError, match="is confirming"):
        run(folder, "prune", "streets", "2")


def test_stopping_a_search_that_nobody_runs_says_so_and_asks_nothing(folder):
    told = run(folder, "stop", "streets")
    assert f"No process runs streets (interrupted); '{folder.command('status')}' says what is next." in told
    assert not (folder.root / "requests").exists()
