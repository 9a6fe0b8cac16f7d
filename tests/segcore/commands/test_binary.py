"""Data of one class and everything else, from nothing beside its masks to a score of its predictions."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segcore.__main__ import app

MODEL = ("backbone=tf_efficientnet_lite0", "weights=none", "decoder_channels=16", "batch_size=2", "epochs=1")
DESCRIPTION = {"images": "images/{name}.png", "masks": "masks/{name}.png", "encoding": "rgb"}


def save(folder: Path, kind: str) -> Path:
    """Write eight roads: white on black in the image, 0 and 1, 0 and 255, one bit or colours in the mask."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(8):
        road_HW = np.zeros((64, 64), np.uint8)
        left = int(random.integers(0, 32))
        road_HW[:, left : left + 24] = 1
        image_HW3 = np.repeat(road_HW[..., None] * 200, 3, axis=2) + random.integers(0, 50, (64, 64, 3))
        masks = {
            "0 and 1": road_HW,
            "0 and 255": road_HW * 255,
            "one bit": road_HW.astype(bool),
            "colours": np.repeat(road_HW[..., None] * 255, 3, axis=2),
        }
        Image.fromarray(image_HW3.astype(np.uint8)).save(folder / f"images/{number}.png")
        Image.fromarray(masks[kind]).save(folder / f"masks/{number}.png")
    return folder


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.mark.parametrize(
    ("kind", "described", "values"),
    [
        ("0 and 255", False, ("loss=bce",)),
        ("colours", True, ("loss=bce", "labels=scored")),
    ],
)
def test_one_class_is_trained_predicted_and_scored(tmp_path, kind, described, values):
    data = save(tmp_path / "data", kind)
    if described:
        content = {**DESCRIPTION, "classes": [{"name": "road", "colours": [[255, 255, 255]]}]}
        (data / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    settings = [word for value in (*MODEL, *values) for word in ("--set", value)]
    place = ("--out", tmp_path / "out", "--cache", tmp_path / "cache")
    trained = run("train", data, *place, "--folds", 2, "--cpus", 1, "--device", "cpu", *settings)
    assert "epoch 1:" in trained
    run("predict", tmp_path / "out/model", data / "images", tmp_path / "predicted", "--device", "cpu")
    written = {int(value) for file in (tmp_path / "predicted/masks").glob("*.png") for value in _values(file)}
    assert written <= {int(value) for value in _values(data / "masks/0.png")}
    assert "8 images scored" in run("score", data, tmp_path / "predicted/masks")


def test_a_perfect_mask_of_one_class_scores_one(tmp_path):
    for kind in ("0 and 1", "0 and 255", "one bit", "colours"):
        data = save(tmp_path / kind, kind)
        if kind == "colours":
            content = {**DESCRIPTION, "classes": [{"name": "road", "colours": [[255, 255, 255]]}]}
            (data / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
        scored = [line.split() for line in run("score", data, data / "masks").splitlines()]
        assert ["iou", "1.0000"] in scored and ["miou", "1.0000"] in scored


def _values(file: Path) -> np.ndarray:
    return np.unique(np.asarray(Image.open(file)))
