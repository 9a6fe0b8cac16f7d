import re
import sys

import pytest
from mlflow import MlflowClient

from benchmarks.quality.__main__ import main
from benchmarks.quality.recorded import read_searches
from search.folder import StageFolder
from search.memory.events import Reopened
from search.memory.journal import read_events
from search.memory.outcome import Outcome
from search.tracking.runs import StageRuns
from segcore.errors import ConfigError, TrackingError


def test_mlflow_gives_back_what_was_recorded(past):
    (search,) = read_searches(["hand"], past.uri)
    settings, trials = search.settings, search.history.trials
    assert (settings.name, settings.space, settings.epochs, settings.resolved_grace_epochs) == ("hand", "demo", 4, 1)
    assert settings.trials == 8
    assert [trials[number].outcome for number in (0, 1, 4, 5, 7)] == [
        Outcome.FINISHED, Outcome.STOPPED, Outcome.DIVERGED, Outcome.OUT_OF_MEMORY, None,
    ]  # fmt: skip
    assert trials[2].values["crop_size"] == 96 and trials[2].values["learning_rate"] == 6**0.5 * 1e-3
    assert [report.score for report in trials[3].epochs.values()] == [0.25, 0.35]
    assert [report.metrics["seconds"] for report in trials[2].epochs.values()] == [3.0] * 4
    assert trials[5].message == "so it was" and not trials[5].epochs


def test_an_epoch_without_a_score_is_one(past):
    past.record("blind", [({"input_mode": "full"}, 1.0, (0.5, None), "stopped by ASHA")])
    (search,) = read_searches(["blind"], past.uri)
    report = search.history.trials[0].epochs[2]
    assert report.score != report.score and report.metrics == {"seconds": 1.0}


def test_a_trial_that_was_stopped_and_goes_on_has_no_outcome(past):
    settings = past.record("revived", [({"input_mode": "full"}, 1.0, (0.5,), "stopped by ASHA")])
    folder = StageFolder(root=past.root / settings.search_id)
    runs = StageRuns(settings, past.place, "search", folder)
    runs.recall(read_events(folder.journal))
    runs.write([Reopened(trial=0)])
    runs.settle()
    (search,) = read_searches(["revived"], past.uri)
    trial = search.history.trials[0]
    assert (trial.outcome, trial.message, trial.ended, trial.last_epoch) == (None, "", None, 1)


def test_searches_that_share_a_name_stay_apart(past):
    for search_id, iou in (("a", 0.5), ("b", 0.6)):
        past.record("twice", [({"input_mode": "full"}, 1.0, (iou,), "finished")], search_id=search_id)
    found = read_searches(["twice", "twice"], past.uri)
    assert [(search.settings.search_id, search.history.trials[0].epochs[1].score) for search in found] == [
        ("a", 0.5),
        ("b", 0.6),
    ]


def test_fixed_values_and_further_data_come_back(past):
    past.record(
        "fixed", [({}, 1.0, (0.5,), "finished")], fixed={"loss": "focal", "batch_size": 8}, where={"extra": ("/more",)}
    )
    (search,) = read_searches(["fixed"], past.uri)
    assert search.settings.fixed == {"loss": "focal", "batch_size": 8}
    assert [str(folder) for folder in search.place.extra] == ["/more"]


def test_search_whose_settings_were_deleted_is_refused(past):
    past.record("orphan", [({}, 1.0, (0.5,), "finished")])
    client = MlflowClient(past.uri)
    experiment = client.get_experiment_by_name("orphan").experiment_id
    (parent,) = client.search_runs([experiment], "tags.`search.trial` = '-1'")
    client.delete_run(parent.info.run_id)
    with pytest.raises(ConfigError, match="--search orphan: MLflow has trials but no run with the settings"):
        read_searches(["orphan"], past.uri)


def test_values_that_are_none_any_more_are_named(past):
    past.record("old", [({}, 1.0, (0.5,), "finished")])
    client = MlflowClient(past.uri)
    experiment = client.get_experiment_by_name("old").experiment_id
    (run,) = client.search_runs([experiment], "tags.`search.trial` = '0'")
    client.set_tag(run.info.run_id, "outcome", "lost at sea")
    with pytest.raises(ConfigError, match=r"--search old: what MLflow has of trial 0 cannot be read .*lost at sea"):
        read_searches(["old"], past.uri)


def test_unknown_search_is_refused_with_those_there_are(past):
    with pytest.raises(ConfigError, match=r"--search hole: .* has no search of that name; it has .*hand.*"):
        read_searches(["hand", "hole"], past.uri)


def test_missing_store_is_refused_and_not_made(tmp_path):
    file = tmp_path / "none" / "mlflow.db"
    with pytest.raises(TrackingError, match="there is no such file"):
        read_searches(["hand"], f"sqlite:///{file}")
    assert not file.parent.exists()


def test_file_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database at all" * 100)
    with pytest.raises(TrackingError, match=r"mlflow\.db is no whole MLflow database .*not a database"):
        read_searches(["hand"], f"sqlite:///{tmp_path / 'mlflow.db'}")


def run_main(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["search_quality", *arguments])
    try:
        main()
    except SystemExit as ended:
        return ended.code
    return 0


def test_command_line_ends_with_one_message_for_a_search_that_is_not_there(monkeypatch, capsys, past):
    assert run_main(monkeypatch, "--search", "hole", "--tracking-uri", past.uri) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("--search hole: MLflow at sqlite:")


def test_arms_play_a_recorded_search_for_as_long_as_it_took(monkeypatch, capsys, past):
    arguments = ("--search", "hand", "--tracking-uri", past.uri, "--seeds", "1", "--arms", "random", "random+asha")
    assert run_main(monkeypatch, *arguments) == 0
    out, _ = capsys.readouterr()
    # 27 s were recorded, a whole training takes 8 s in the median.
    assert out.startswith("3 whole trainings, 1 at a time, 1 seeds")
    assert re.search(r"^random\+asha ", out, re.MULTILINE) and "reco hand" in out
