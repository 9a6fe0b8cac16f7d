import optuna
import pytest

from search.commands.launch import _look_at_mlflow, _settle_first, grant_time, tell_repeats
from segcore.errors import TrackingError
from spaces.known_good import KNOWN_GOOD


def rates(trial: optuna.Trial) -> dict:
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    return {"backbone": "tf_efficientnet_lite0", "weights": "none"}


@pytest.fixture
def settle(make_settings, monkeypatch, capsys):
    """Return a function that settles what a search tries first, and what is said of it."""
    monkeypatch.setitem(KNOWN_GOOD, "mine:rates", ({"learning_rate": 1e-3}, {"learning_rate": 2e-3}))

    def settle(*given, **changes):
        settings = make_settings(space="mine:rates", trials=20, **changes)
        told = [("best.json", {"learning_rate": rate}) for rate in given]
        settled = _settle_first(settings, told, rates, {"smallest_side": 96}, lambda config: None)
        return [each["values"]["learning_rate"] for each in settled.first], " ".join(capsys.readouterr().out.split())

    return settle


def test_what_is_tried_first_is_told_with_how_to_leave_out_what_nobody_gave(settle):
    known = "2 known to be good in mine:rates (--known 0 leaves out such)"
    assert settle() == ([1e-3, 2e-3], f"Configurations that are tried first: 2, each once, {known}")
    assert settle(3e-3) == ([3e-3, 1e-3, 2e-3], f"Configurations that are tried first: 3, each once, {known}")
    assert settle(3e-3, known=0) == ([3e-3], "Configurations that are tried first: 1, each once")


def test_of_nothing_nothing_is_told(settle):
    assert settle(known=0) == ([], "")


def test_time_that_a_run_is_granted_comes_on_top_of_what_was_spent_and_0_is_no_limit(make_settings, script):
    """It has run for 60 s, all that it had."""
    settings = make_settings(time_budget_seconds=60.0)
    script.write("opened", cache_key="key", time=1000.0)
    script.write("halted", time=1060.0)
    granted = {text: grant_time(settings, script.journal.history, text) for text in ("2m", "0")}
    assert {text: each.time_budget_seconds for text, each in granted.items()} == {"2m": 180.0, "0": 0.0}


def test_more_trials_than_configurations_are_told_of(make_settings, capsys):
    """Six that the space draws, and two that are given."""
    for trials, drawable in ((8, 6), (80, None)):
        tell_repeats(make_settings(trials=trials), drawable, 2)
    assert capsys.readouterr().out == ""
    tell_repeats(make_settings(trials=9, space="mine:rates"), 6, 2)
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith("--trials 9: mine:rates draws 6 configurations at most,")
    assert told.endswith("use --trials 8, or draw more.")


def test_dry_run_looks_at_mlflow_and_makes_no_database(tmp_path, capsys):
    with pytest.raises(TrackingError, match="is no address that MLflow knows"):
        _look_at_mlflow("redis://localhost", dry_run=True)
    _look_at_mlflow("http://127.0.0.1:9", dry_run=True)
    assert "does not answer" in " ".join(capsys.readouterr().out.split()), "it may be there when the search begins"
    _look_at_mlflow(f"sqlite:///{tmp_path / 'mlflow.db'}", dry_run=True)
    assert list(tmp_path.iterdir()) == []
