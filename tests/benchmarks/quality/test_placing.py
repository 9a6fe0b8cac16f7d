import numpy as np
import pytest

from benchmarks.quality.placing import PlacedSpace


def space(trial):
    trial.suggest_categorical("loss", ["ce", "focal"])
    trial.suggest_float("scale", 0.5, 1.0)
    trial.suggest_int("crop_size", 64, trial.study.user_attrs["smallest_side"])


def distance(placed, one, other):
    return np.linalg.norm(placed.place(one) - placed.place(other))


def test_choices_that_differ_are_one_apart_and_what_was_fixed_does_not_count():
    placed = PlacedSpace(space, {"smallest_side": 128}, fixed={"crop_size": 96})
    one = {"loss": "ce", "scale": 0.75, "crop_size": 64}
    assert distance(placed, one, {**one, "loss": "focal"}) == pytest.approx(1)
    assert 0 < distance(placed, one, {**one, "scale": 1.0}) < 1
    assert distance(placed, one, {**one, "crop_size": 128}) == 0
