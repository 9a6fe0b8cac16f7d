"""`replay` on searches whose journals are written by hand."""

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from search.__main__ import app
from search.commands.console import console
from search.folder import SearchFolder
from search.place import write_place
from search.settings import write_settings
from segcore.errors import CheckpointError, ConfigError


@pytest.fixture
def replay(make_settings, make_place, make_history, tmp_path, monkeypatch) -> Callable[..., str]:
    """Return a function that writes a search of trials (ious, outcome) and tells what its replay prints."""
    # As wide whatever the terminal, or the process that runs the tests, says.
    monkeypatch.setattr(console, "_width", 240)

    def tell(trials: list[tuple[tuple[float, ...], str]], *options: str, **changes: object) -> str:
        def write(script) -> None:
            for number, (ious, outcome) in enumerate(trials):
                script.ask(number, epochs=3)
                for epoch, iou in enumerate(ious, start=1):
                    script.write("epoch", trial=number, epoch=epoch, metrics={"iou": iou, "seconds": 60.0})
                script.end(number, outcome)

        settings = make_settings(trials=len(trials), **{"epochs": 3, "grace_epochs": 1, **changes})
        place = make_place()
        folder = SearchFolder(root=place.storage / settings.name)
        folder.root.mkdir(parents=True)
        write_settings(settings, folder.settings)
        write_place(place, folder.place)
        make_history(write)
        (tmp_path / "history" / "journal.jsonl").rename(folder.search_stage.journal)
        arguments = ["replay", settings.name, "--storage", str(place.storage), *options]
        done = CliRunner().invoke(app, arguments)
        if done.exception is not None:
            raise done.exception
        return done.stdout

    return tell


def rows_of(text: str) -> dict[tuple[str, str], list[str]]:
    cells = [line.split() for line in text.splitlines()]
    return {(row[0], row[1]): row[2:] for row in cells if len(row) > 9 and row[0].strip("*").isdigit()}


UPSET = [((0.5, 0.6, 0.7), "finished"), ((0.4, 0.65, 0.9), "finished")]
"""The winner begins slowly."""


def test_winner_that_is_stopped_is_told_with_what_is_left(replay):
    """With a first rung at the end nobody was stopped; at epoch 1 the winner would be, and two epochs saved."""
    text = replay(UPSET, "--grace-epochs", "1", "--grace-epochs", "2", "--reduction-factor", "2", grace_epochs=3)
    rows = rows_of(text)
    assert rows["1", "2"][1:7] == ["1", "1", "2", "2", "min", "0"]
    assert "stopped after epoch 1, best 0.7000; stopped sooner: 1" in text
    assert rows["2", "2"][-1] == "survives"
    assert rows["*3", "2"][:7] == ["1.00", "0", "0", "0", "0", "s", "0"]
    assert "2 trials, 6 of at most 6 epochs trained; best iou 0.9000, trial 1" in text
    assert "The search's own settings, replayed, leave the same 0 trials stopped after the same epochs." in text
    assert "2 trials ran as long as the longest, and 6 are needed" in text


def test_decisions_that_cannot_be_repeated_are_told(replay):
    """With the second at the rung the first goes on; the record says that it never did."""
    text = replay([((0.6,), "stopped by ASHA"), ((0.5,), "stopped by ASHA")])
    assert "decide otherwise on trial 0: " in text


def test_ranks_that_settle_late_are_told(replay):
    """Six whole trainings whose order turns round after the first epoch."""
    places = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    text = replay([((0.6 - place, 0.2 + place, 0.3 + place), "finished") for place in places])
    assert "of 6 whole trainings, 0% of the pairs stand as they do in the end (Kendall's tau -1.00)" in text
    assert "--grace-epochs 2" in text


def test_search_without_a_score_has_nothing_to_replay(replay):
    with pytest.raises(CheckpointError, match="has no trial with a score yet"):
        replay([((), "failed")])


def test_a_first_rung_at_which_nobody_could_be_stopped_is_refused(replay):
    with pytest.raises(ConfigError, match=r"--grace-epochs 3: trials of this search have 3 epochs"):
        replay(UPSET, "--grace-epochs", "3")


def test_replay_as_json_marks_the_settings_of_the_search(replay):
    document = json.loads(replay(UPSET, "--json"))
    assert (document["name"], document["metric"], document["form"]) == ("streets", "iou", 1)
    (own,) = [row for row in document["decisions"] if row["own"]]
    assert (own["grace_epochs"], own["reduction_factor"]) == (1, 2)
    assert all(row["best"] is None or row["best"] <= 0.9 for row in document["decisions"])


def test_replay_fits_60_columns(replay, monkeypatch):
    monkeypatch.setattr(console, "_width", 60)
    text = replay(UPSET, "--grace-epochs", "1", "--reduction-factor", "2")
    assert max(len(line.rstrip()) for line in text.splitlines()[:7]) <= 60
    assert "…" not in text


@pytest.mark.parametrize(("width", "told"), [(80, False), (240, True)])
def test_columns_that_there_is_no_room_for_are_not_explained(replay, monkeypatch, width, told):
    monkeypatch.setattr(console, "_width", width)
    text = " ".join(replay(UPSET).split())
    assert "grace: epochs before a trial may be stopped" in text
    assert [f"{name}: " in text for name in ("tau", "further")] == [told, told]
