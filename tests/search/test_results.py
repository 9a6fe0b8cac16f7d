"""The tables and arrays that notebooks get, and the notebook itself, on a small recorded search."""

import json
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import search
from search.results import tabulate_curves, tabulate_trials
from segcore.config import TrainConfig
from segcore.data.classes import ClassTable
from segcore.errors import CheckpointError
from segcore.networks.model import build_model
from segcore.prediction.ensemble_files import save_ensemble
from tests.search.report.simulated import simulate_search

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "browse.ipynb"


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    """A storage with a search of eleven trials that was confirmed and retrained; its model has one small network."""
    found: Path = tmp_path_factory.mktemp("results") / "searches"
    folder = simulate_search(found, trials=11, workers=2, name="demo")
    classes = ClassTable(names=("road", "car"), colours=((128, 64, 128), (0, 0, 255)), scored=("car",))
    config = TrainConfig.from_values({"backbone": "resnet18", "weights": "none", "decoder_channels": 16})
    model = build_model(config, len(classes))
    save_ensemble(folder.model, iter([model.state_dict()]), config=config, classes=classes, notes={})
    return found


@pytest.fixture(scope="module")
def found(storage):
    return search.load("demo", storage=storage)


def test_a_trial_that_failed_has_a_score_and_no_rank(make_trials):
    table = tabulate_trials(make_trials({"ious": [0.9], "outcome": "failed"}, {"ious": [0.5]}))
    assert list(table["score"]) == [0.9, 0.5]
    assert np.isnan(table.loc[0, "rank"])
    assert table.loc[1, "rank"] == 1


def test_a_row_for_each_trial_says_what_was_drawn_and_how_far_it_got(make_trials):
    history = make_trials(
        {"params": {"loss": "ce"}, "ious": [0.1, 0.3, 0.2]},
        {"params": {"loss": "focal", "crop_size": 256}, "ious": [0.5], "outcome": "stopped by ASHA"},
        {"params": {"loss": "ce"}, "ious": [], "outcome": "diverged"},
    )
    table = tabulate_trials(history)
    assert list(table.index) == [0, 1, 2]
    assert list(table["state"]) == ["finished", "stopped by ASHA", "diverged"]
    assert list(table["epochs"]) == [3, 1, 0]
    assert table.loc[0, ["score", "best_epoch", "rank"]].tolist() == [0.3, 2, 2]
    assert table.loc[0, "seconds"] == 31.0, "ten seconds an epoch, and one to end"
    assert np.isnan(table.loc[2, "score"])
    assert table.loc[1, "crop_size"] == 256
    assert np.isnan(table.loc[0, "crop_size"])


def test_a_row_for_each_epoch_has_every_metric(make_trials):
    table = tabulate_curves(make_trials({"ious": [0.1, None]}, {"ious": [0.5]}))
    assert table[["trial", "epoch"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 1]]
    assert table["score"].tolist()[::2] == [0.1, 0.5]
    assert np.isnan(table["score"][1])
    assert str(table["time"][0]) == "1970-01-01 00:16:50+00:00", "1010 seconds since 1970"


def test_tables_of_a_search_that_has_not_begun_have_their_columns(make_trials):
    history = make_trials()
    assert list(tabulate_trials(history)["state"]) == list(tabulate_curves(history)["score"]) == []


def test_a_search_is_loaded_by_its_name(found):
    assert (found.name, found.metric, len(found.trials)) == ("demo", "iou", 11)
    assert len(found.curves) == found.trials["epochs"].sum()
    assert found.winner["trial"] in found.trials.index
    assert set(found.confirmation["fold"]) == {1, 2}
    waiting = found.trials.index[found.trials["state"] == "stopped by ASHA"]
    assert set(found.stops[found.stops["taken_up"].isna()]["trial"]) == set(waiting)
    assert len(found.answers()) == 6


def test_a_notebook_shows_results_in_a_line(found):
    best = f"{found.trials['score'].max():.4f}"
    assert repr(found) == f"<search 'demo': 11 trials, best iou {best}; see .trials, .curves, .stops, .winner>"


def test_a_score_of_what_failed_is_not_shown_as_the_best(found, make_trials):
    trials = tabulate_trials(make_trials({"ious": [0.9], "outcome": "failed"}, {"ious": [0.5]}))
    assert "best iou 0.5000;" in repr(replace(found, trials=trials))
    assert "no score yet" in repr(replace(found, trials=trials.iloc[:1]))


def test_an_unknown_search_is_refused_with_those_there_are(storage):
    with pytest.raises(CheckpointError, match=r"No search 'other' in .*; there are demo"):
        search.load("other", storage=storage)


def test_a_picture_is_an_array_and_one_that_is_not_there_is_refused(found, storage):
    shown = Image.open(storage / "demo" / "trials" / "0000" / "epoch_0001.jpg").convert("RGB")
    assert np.array_equal(found.picture(found.winner["trial"]), np.asarray(shown))
    with pytest.raises(CheckpointError, match="has no picture of epoch 99; epochs with one: 27"):
        found.picture(found.winner["trial"], epoch=99)
    with pytest.raises(CheckpointError, match="has no trial 11; there are 11, from 0"):
        found.picture(11)


def test_the_model_predicts_arrays(found):
    classes_HW = found.load_ensemble(use_gpu=False).predict(np.zeros((64, 96, 3), np.uint8))
    assert (classes_HW.shape, classes_HW.dtype) == ((64, 96), np.uint8)


def test_a_model_that_was_not_made_yet_is_refused_with_the_command(tmp_path):
    simulate_search(tmp_path, trials=2, workers=1, finish=False, name="young")
    with pytest.raises(CheckpointError, match="run 'python -m search retrain young"):
        search.load("young", storage=tmp_path).load_ensemble()


def test_every_cell_of_the_notebook_runs(storage):
    """Without Jupyter's kernel, which the project does not install: the cells are run one after the other."""
    mpl.use("Agg")
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    parameters = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
    names: dict[str, object] = {}
    exec("".join(parameters[0]["source"]), names)
    names |= {"NAME": "demo", "STORAGE": storage}
    for cell in cells:
        if cell not in parameters:
            exec("".join(cell["source"]), names)
    assert isinstance(names["curves"], pd.DataFrame)
    assert names["classes"].shape == (213, 320)
    mpl.pyplot.close("all")
