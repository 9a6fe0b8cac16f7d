from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from search.commands import running
from search.commands.running import _name_pages, _register, confirm_best, finish, retrain_winner
from search.memory.journal import read_events
from search.opening import open_search
from search.stages.retrain import Retraining
from search.stages.stage import ReadySearch
from segcore.errors import CheckpointError, InterruptedSearchError, TrackingError


@pytest.fixture
def ready(searched, cache) -> ReadySearch:
    """The search; nothing is asked of Ray."""
    settings, place = open_search(searched, {})
    capacity = SimpleNamespace(place=place, nodes=None, head="")
    return ReadySearch(settings=settings, capacity=capacity, folder=searched, cache=cache)


@pytest.fixture
def press(monkeypatch):
    """Return a function that makes a function of `running` end by Ctrl-C, beside a run of Ray Tune or in one."""

    def make(room: object, name: str) -> None:
        def end(*given: object, **named: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(room, name, end)

    monkeypatch.setattr(running, "stage_shown", lambda *_: nullcontext())
    monkeypatch.setattr(running.loop, "require_scores", lambda *_: None)
    return make


def test_a_further_ctrl_c_in_a_confirmation_says_how_to_go_on(searched, ready, press, capsys):
    """The first one Ray Tune takes."""
    press(running.confirm, "run_confirmation")
    with pytest.raises(InterruptedSearchError) as caught:
        confirm_best(ready, retry=True)
    assert str(caught.value) == f"Interrupted; go on with '{searched.command('confirm')}'."
    assert [event.event for event in read_events(searched.confirm_stage.journal)] == ["opened", "halted"]
    assert "training" in capsys.readouterr().out, "how far it got"


def test_an_interrupted_retraining_is_gone_on_with_by_the_options_it_was_given(searched, ready, press, make_best):
    press(running.retrain, "run_retraining")
    with pytest.raises(InterruptedSearchError) as caught:
        retrain_winner(ready, Retraining(winner=make_best(), half=True, most=5))
    command = searched.command("retrain", "--half", "--max-members", "5")
    assert str(caught.value) == f"Interrupted; go on with '{command}'."


def test_ctrl_c_when_the_trials_of_a_launch_have_ended_names_the_command_that_goes_on(searched, ready, press):
    """The launch itself would be refused: its search is there."""
    press(running, "can_confirm")
    with pytest.raises(InterruptedSearchError) as caught:
        finish(ready)
    assert str(caught.value) == f"Interrupted; go on with '{searched.command('resume')}'."


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("", "python -m search ui --storage {storage}"),
        ("sqlite:////elsewhere/mlflow.db", "python -m search ui --storage /elsewhere"),
        ("sqlite:////elsewhere/mine.db", "mlflow server --backend-store-uri sqlite:////elsewhere/mine.db"),
        ("postgresql://me:PW@host/runs", "mlflow server --backend-store-uri 'postgresql://***@host/runs'"),
    ],
)
def test_pages_of_a_search_are_served_from_where_its_runs_are(searched, uri, told):
    settings, place = open_search(searched, {"tracking_uri": uri})
    assert _name_pages(settings, place) == told.format(storage=place.storage)


def test_server_that_is_away_is_where_the_pages_of_a_search_are_all_the_same(searched, monkeypatch):
    settings, place = open_search(searched, {"tracking_uri": "http://me:PW@h:5000/mlf/"})
    monkeypatch.setattr(running, "trials_link", Mock(side_effect=TrackingError("It does not answer.")))
    assert _name_pages(settings, place) == "http://h:5000/mlf"


def test_registering_a_model_says_what_it_does_when_it_takes_long(searched, monkeypatch):
    settings, place = open_search(searched, {})
    told = []
    monkeypatch.setattr(running, "told_if_slow", lambda doing: nullcontext(told.append(doing)))
    with pytest.raises(CheckpointError):
        _register(settings, place, searched, "retrain")
    assert told == [f"registering the model in {place.tracking_uri}"], "there is no model yet"
