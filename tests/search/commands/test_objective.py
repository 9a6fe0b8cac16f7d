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


@pytest.fixture
def launch(
    streets: Path, run_cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> Callable[..., tuple[str, SearchFolder]]:
    """Return a function that searches for an objective, and returns what was printed and the search's files."""

    def run(objective: str, *more: object) -> tuple[str, SearchFolder]:
        done = run_cli(
            *("launch", "--name", "other", "--data", streets, "--space", "demo", "--trials", 2, "--epochs", 2, *SMALL),
            *("--folds", 2, "--max-concurrent", 2, "--cache", tmp_path / "cache", "--storage", tmp_path / "searches"),
            *("--objective", objective, *more),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, SearchFolder(root=tmp_path / "searches" / "other")

    return run


def test_search_ranks_and_confirms_by_the_metric_it_was_launched_for(launch):
    launched, folder = launch("miou_scored", "--confirm", 2)
    assert read_settings(folder.settings).metric == "miou_scored"
    best = read_history(folder.search_stage.journal, "miou_scored").ranked[0]
    assert f"best miou_scored {best.best.score:.4f} in trial {best.number}" in launched
    assert "The winner's miou_scored on 1 further fold(s) is" in launched
    for training in read_history(folder.confirm_stage.journal, "miou_scored").in_order:
        last = training.epochs[2]
        # It is over all images together, and what images say of it averages to it.
        shares = list(last.image_scores.values())
        assert sum(shares) / len(shares) == pytest.approx(last.metrics["miou_scored"])
    winner = json.loads(folder.best.read_text())
    scores = [each["score"] for each in winner["confirmation"]["contenders"]]
    assert (winner["metric"], winner["confirmation"]["score"]) == ("miou_scored", max(scores))
    _, place = read_search(folder)
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name("other")
    (confirmed,) = client.search_runs(
        [experiment.experiment_id], "tags.`search.stage` = 'confirm' and tags.`search.trial` = '-1'"
    )
    assert confirmed.data.metrics == {"miou_scored": pytest.approx(max(scores))}


def test_winner_in_the_iou_of_one_class_is_retrained_and_measured_in_it(launch, run_cli):
    launched, folder = launch("iou/car", "--confirm", 0)
    best = read_history(folder.search_stage.journal, "iou/car").ranked[0]
    assert f"best iou/car {best.best.score:.4f} in trial {best.number}" in launched
    settings, place = read_search(folder)
    assert "orderByKey=metrics.%60iou%2Fcar%60" in trials_link(settings, place, "http://localhost:5000")
    retrained = run_cli("retrain", "other", "--storage", place.storage)
    assert retrained.returncode == 0, retrained.stdout + retrained.stderr
    assert "search's own iou/car" in retrained.stdout
    notes = read_ensemble_notes(folder.model)["notes"]
    assert (notes["metric"], set(notes["fold_scores"])) == ("iou/car", {"0", "1"})
    assert "iou/car" in notes["out_of_fold"]
