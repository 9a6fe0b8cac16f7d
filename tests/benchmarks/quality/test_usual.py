from types import SimpleNamespace

import pytest

from benchmarks.quality.playing import _make_arms
from benchmarks.quality.synthetic import FAMILIES, Landscape
from benchmarks.quality.usual import list_usual, make_usual

USUAL_IN_A_LANDSCAPE = {
    **{"backbone": "medium", "decoder": "fpn", "loss": "ce", "labels": "full", "input_mode": "full"},
    **{"learning_rate": 1e-3, "weight_decay": 1e-3, "batch_size": 8, "schedule": "cosine", "augmentation": "light"},
}


def nested(trial) -> None:
    """`size` when cropping only; `momentum` hangs on a number, and `fixed` has one value."""
    if trial.suggest_categorical("mode", ("tiles", "full", "crop")) == "crop":
        trial.suggest_categorical("size", (128, 256))
    if trial.suggest_float("rate", 1e-4, 1e-2, log=True) > 5e-4:
        trial.suggest_float("momentum", 0.5, 0.9)
    trial.suggest_int("units", 1, 9)
    trial.suggest_int("fixed", 3, 3)


def test_usual_of_an_unknown_task_is_the_middle_of_its_ranges_and_choices():
    task = SimpleNamespace(space=nested)
    middle = {"mode": "full", "rate": 1e-3, "momentum": 0.7, "units": 5}
    assert list_usual(task) == pytest.approx({**middle, "size": 256})
    assert make_usual(task) == pytest.approx({**middle, "fixed": 3})


def test_usual_of_a_landscape_is_what_it_has_where_little_is_drawn():
    landscape = Landscape(FAMILIES[0])
    beside = {"attention": "none", "crop_size": 512, "scale": 0.75}
    assert list_usual(landscape) == {**USUAL_IN_A_LANDSCAPE, **beside}
    assert make_usual(landscape) == USUAL_IN_A_LANDSCAPE
    assert _make_arms(30)["ours+usual"](landscape, 0).ask() == (0, USUAL_IN_A_LANDSCAPE)
