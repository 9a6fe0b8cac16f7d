"""Searches for another metric than the contest's, end to end: it ranks, confirms, is retrained for and named."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.folder import SearchFolder
from search.memory.journal import read_history
from search.opening import read_search
from search.settings import read_settings
from search.tracking.store import trials_link
from segcore.prediction.ensemble import read_ensemble_notes
from segcore.streets.synthetic import write_streets

SMALL = ("--set", "weights=none", "--set", "decoder_channels=16", "--set", "input_mode=full")


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("objective") / "streets"
    write_streets(folder, cases=16, height=64, width=96, test_cases=1)
    return folder


@pytest.mark.parametrize("objective", ["miou_scored", "iou/car"])
def test_search_ranks_confirms_and_retrains_by_the_metric_it_was_launched_for(
    streets: Path, run_cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, objective: str
):
    where = ("--storage", tmp_path / "searches")
    launched = run_cli(
        *("launch", "--name", "other", "--data", streets, "--space", "demo", "--trials", 2, "--epochs", 2, *SMALL),
        *("--folds", 2, "--confirm", 2, "--max-concurrent", 2, "--cache", tmp_path / "cache", *where),
        *("--objective", objective),
    )
    assert launched.returncode == 0, launched.stdout + launched.stderr
    folder = SearchFolder(root=tmp_path / "searches" / "other")
    assert read_settings(folder.settings).metric == objective
    history = read_history(folder.search_stage.journal, objective)
    best = history.ranked[0]
    assert f"best {objective} {best.best.score:.4f} in trial {best.number}" in launched.stdout
    assert f"The winner's {objective} on 1 further fold(s) is" in launched.stdout
    for training in read_history(folder.confirm_stage.journal, objective).in_order:
        last = training.epochs[2]
        # What images say of it averages to the metric, also where it is over all images together.
        assert sum(last.image_scores.values()) / len(last.image_scores) == pytest.approx(last.metrics[objective])
    winner = json.loads(folder.best.read_text())
    assert winner["metric"] == objective
    scores = [each["score"] for each in winner["confirmation"]["contenders"]]
    assert winner["confirmation"]["score"] == max(scores)
    settings, place = read_search(folder)
    assert objective.replace("/", "%2F") in trials_link(settings, place, "http://localhost:5000")

    retrained = run_cli("retrain", "other", *where)
    assert retrained.returncode == 0, retrained.stdout + retrained.stderr
    assert f"search's own {objective}" in retrained.stdout
    notes = read_ensemble_notes(folder.model)["notes"]
    assert (notes["metric"], set(notes["fold_scores"])) == (objective, {"0", "1"})
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name("other")
    confirmed = client.search_runs([experiment.experiment_id], "tags.`search.stage` = 'confirm'")
    assert any(run.data.metrics[objective] == pytest.approx(max(scores)) for run in confirmed)
