"""Searches on a given division, end to end: the official split with its confirmation by seeds, and own folds."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.folder import SearchFolder
from search.memory.journal import read_history
from search.memory.outcome import Outcome
from search.place import read_place
from search.settings import read_settings
from segcore.data.dataset import read_dataset
from segcore.data.dividing.split import read_folds
from segcore.prediction.ensemble_files import read_ensemble_notes
from segcore.prediction.held_out import Origin, plan_held_out
from segcore.prediction.training_notes import parse_notes

VAL = {f"val_{number}" for number in range(4)}
SPACES = """
def tiny(trial):
    trial.suggest_float("learning_rate", 1e-3, 1e-2, log=True)
    small = {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16, "batch_size": 4}
    return {**small, "input_mode": "full", "rate_schedule": "cosine"}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    root = tmp_path_factory.mktemp("given")
    (root / "searches").mkdir()
    shutil.copy(empty_database, root / "searches" / "mlflow.db")
    (root / "my_spaces.py").write_text(SPACES)
    return root


@pytest.fixture(scope="module")
def run(run_cli: Callable, root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def succeed(*arguments: object) -> subprocess.CompletedProcess[str]:
        done = run_cli(*arguments, "--storage", root / "searches", python_path=root)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return succeed


@pytest.fixture(scope="module")
def launched(run: Callable, root: Path, divided_folder: Path) -> str:
    """What the launch of search `official` printed: two trials, both confirmed with two further seeds."""
    arguments = ("launch", "--name", "official", "--split", "official", "--data", divided_folder)
    arguments += ("--cache", root / "cache", "--space", "my_spaces:tiny", "--trials", 2, "--epochs", 2)
    return run(*arguments, "--grace-epochs", 2, "--confirm", 2, "--confirm-folds", 2, "--max-concurrent", 1).stdout


@pytest.fixture(scope="module")
def folder(launched: str, root: Path) -> SearchFolder:
    return SearchFolder(root=root / "searches" / "official")


@pytest.fixture(scope="module")
def retrained(folder: SearchFolder, run: Callable) -> str:
    return run("retrain", "official").stdout


def test_trials_are_scored_on_the_official_val(launched, folder):
    settings = read_settings(folder.settings)
    assert (settings.split, settings.folds, settings.fold) == ("official", 1, 0)
    assert "the official split, which came with the data: 8 cases to train on, 4 to validate on" in launched
    split = read_folds(folder.folds)
    assert split.kind == "official"
    assert {name for name, fold in split.fold_of.items() if fold == 0} == VAL
    trials = read_history(folder.search_stage.journal, settings.metric).in_order
    assert [(trial.fold, trial.values["seed"]) for trial in trials] == [(0, 0), (0, 0)]


def test_best_are_trained_again_with_further_seeds_and_it_is_said(launched, folder):
    trainings = read_history(folder.confirm_stage.journal, "miou").in_order
    places = {(trial.source, trial.fold, trial.values["seed"]) for trial in trainings}
    assert {(source, 0, 1) for source in (0, 1)} <= places <= {(s, 0, seed) for s in (0, 1) for seed in (1, 2)}
    assert all({*trial.epochs[2].image_scores} <= VAL for trial in trainings)
    confirmation = json.loads(folder.best.read_text())["confirmation"]
    seeds = confirmation["further_seeds"]
    several = "s" if len(seeds) > 1 else ""
    told = f"onfirmed with {len(seeds)} further seed{several} on the official split; no further folds exist"
    assert confirmation["told"] == f"c{told}"
    assert f"C{told}" in " ".join(launched.split())
    client = MlflowClient(read_place(folder.place).tracking_uri)
    experiment = client.get_experiment_by_name("official")
    runs = client.search_runs([experiment.experiment_id], "tags.`search.stage` = 'confirm'")
    names = [run.info.run_name for run in runs if "mlflow.parentRunId" in run.data.tags]
    ends = sorted(name.rpartition("#")[2] for name in names)
    assert ends == sorted(f"{source}, seed {seed}" for source, _, seed in places)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert f"C{told}" in parent.data.tags["mlflow.note.content"]


def test_status_says_on_what_the_search_is_and_with_what_it_was_confirmed(folder, run):
    shown = " ".join(run("status", "official").stdout.split())
    assert "the official split, which came with the data: 8 cases to train on, 4 to validate on" in shown
    assert "on the official split; no further folds exist: trial" in shown


def test_retraining_is_with_the_further_seeds_and_scored_on_the_official_val(retrained, folder, divided_folder):
    best = json.loads(folder.best.read_text())
    trials = read_history(folder.retrain_stage.journal, "miou").in_order
    assert [(trial.fold, trial.values["seed"], trial.outcome) for trial in trials] == [
        (0, 1, Outcome.FINISHED),
        (0, 2, Outcome.FINISHED),
    ]
    taken = ["trained in the confirmation" in trial.message for trial in trials]
    assert taken == [seed in best["confirmation"]["further_seeds"] for seed in (1, 2)]
    notes = read_ensemble_notes(folder.model)["notes"]
    assert (notes["split"], notes["left_out"], sorted(notes["seed_scores"])) == ("official", [0, 0], ["1", "2"])
    shown = " ".join(retrained.split())
    assert "of one network on 4 images, the mean over seeds" in shown
    assert "The search was steered by these images, so this score flatters" in shown
    plan = plan_held_out(parse_notes(notes, 2), read_dataset(divided_folder).cases, folder.model)
    held_out = {name for name, assignment in plan.of_case.items() if assignment.origin is Origin.HELD_OUT}
    assert (held_out, plan.count(Origin.TRAINED_ON)) == (VAL, 8)


def test_own_folds_are_searched_on(run, root, divided_folder):
    names = [case.name for case in read_dataset(divided_folder).cases]
    (root / "mine.json").write_text(json.dumps({name: number % 3 for number, name in enumerate(names)}))
    arguments = ("launch", "--name", "own", "--data", divided_folder, "--folds-file", root / "mine.json", "--fold", 1)
    arguments += ("--cache", root / "cache", "--space", "my_spaces:tiny", "--trials", 1, "--epochs", 1)
    shown = run(*arguments).stdout
    assert "folds given by --folds-file: 4, 4, 4 cases in 3 folds" in shown
    folder = SearchFolder(root=root / "searches" / "own")
    settings, split = read_settings(folder.settings), read_folds(folder.folds)
    assert (settings.split, settings.folds, settings.fold) == ("own", 3, 1)
    assert (split.kind, split.fold_of[names[4]]) == ("own", 1)
    history = read_history(folder.search_stage.journal, settings.metric)
    assert [trial.outcome for trial in history.in_order] == [Outcome.FINISHED]
