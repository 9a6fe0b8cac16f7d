"""Searches for another metric than the contest's, end to end: it ranks, confirms, is retrained for and named."""

import json
import shutil
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
from segcore.prediction.ensemble_files import read_ensemble_notes
from segcore.streets.synthetic import write_streets

METRIC = "iou/car"
SMALL = ("--set", "weights=none", "--set", "decoder_channels=16", "--set", "input_mode=full")


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("objective") / "streets"
    write_streets(folder, cases=16, height=64, width=96, test_cases=1)
    return folder


@pytest.fixture(scope="module")
def launched(
    streets: Path, run_cli: Callable[..., subprocess.CompletedProcess[str]], empty_database: Path
) -> tuple[str, SearchFolder]:
    """What the launch of a search for the IoU of cars printed, and the search's files."""
    root = streets.parent
    (root / "searches").mkdir()
    shutil.copy(empty_database, root / "searches" / "mlflow.db")
    done = run_cli(
        *("launch", "--name", "other", "--data", streets, "--space", "demo", "--trials", 2, "--epochs", 2, *SMALL),
        *("--folds", 2, "--max-concurrent", 1, "--cache", root / "cache", "--storage", root / "searches"),
        *("--objective", METRIC, "--confirm", 2),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, SearchFolder(root=root / "searches" / "other")


def test_search_ranks_and_confirms_by_the_metric_it_was_launched_for(launched):
    printed, folder = launched
    assert read_settings(folder.settings).metric == METRIC
    best = read_history(folder.search_stage.journal, METRIC).ranked[0]
    assert f"best {METRIC} {best.best.score:.4f} in trial {best.number}" in printed
    assert f"The winner's {METRIC} on 1 further fold is" in printed
    for training in read_history(folder.confirm_stage.journal, METRIC).in_order:
        last = training.epochs[2]
        # It is over all images together, and what images say of it averages to it.
        shares = list(last.image_scores.values())
        assert sum(shares) / len(shares) == pytest.approx(last.metrics[METRIC])
    winner = json.loads(folder.best.read_text())
    scores = [each["score"] for each in winner["confirmation"]["contenders"]]
    assert (winner["metric"], winner["confirmation"]["score"]) == (METRIC, max(scores))


def test_mlflow_has_the_metric_and_ranks_by_it(launched):
    _, folder = launched
    settings, place = read_search(folder)
    assert trials_link(settings, place, "http://localhost:5000").endswith("-at-a-glance")
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name("other")
    (confirmed,) = client.search_runs(
        [experiment.experiment_id], "tags.`search.stage` = 'confirm' and tags.`search.trial` = '-1'"
    )
    score = json.loads(folder.best.read_text())["confirmation"]["score"]
    assert confirmed.data.metrics == {"class/car": pytest.approx(score)}


def test_winner_is_retrained_and_measured_in_the_metric(launched, run_cli):
    _, folder = launched
    retrained = run_cli("retrain", "other", "--storage", folder.root.parent)
    assert retrained.returncode == 0, retrained.stdout + retrained.stderr
    assert f"search's own {METRIC}" in retrained.stdout
    notes = read_ensemble_notes(folder.model)["notes"]
    assert (notes["metric"], set(notes["fold_scores"])) == (METRIC, {"0", "1"})
    assert METRIC in notes["out_of_fold"]
