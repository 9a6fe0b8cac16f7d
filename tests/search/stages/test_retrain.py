import json
import math
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from search.folder import SearchFolder, StageFolder
from search.memory.best import Winner
from search.memory.events import CheckpointSaved
from search.memory.journal import read_history
from search.run.trial import STATE_FILE
from search.stages.plan import plan_folds
from search.stages.retrain import build_ensemble, measure_out_of_fold
from search.verdict.out_of_fold import OutOfFold
from segcore.config import TrainConfig
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.data.dividing.split import FoldSplit, read_folds, write_folds
from segcore.data.labels import build_label_map
from segcore.errors import CheckpointError
from segcore.machine import Machine
from segcore.prediction.ensemble_files import load_ensemble
from segcore.scoring.score_text import SCORES_FILE
from segcore.training.checkpoint import save_state
from segcore.training.state import new_state

SMALL = {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16, "epochs": 2}


def make_best(**values: object) -> Winner:
    whole = TrainConfig.from_values({**SMALL, **values}).values()
    return Winner(search="streets", trial=5, fold=0, epoch=2, metrics={"iou": 0.8}, values=whole, trials=1)


def score(name: str, condition: str, iou: float | None, car: tuple[int, int], person: tuple[int, int]) -> dict:
    """An image's score. `car`: pixels of cars called car and called road; `person` the same. Classes of the tests'
    table: road, car, person, sky, and a column for background."""
    confusion = np.zeros((4, 5), int)
    confusion[1, 1], confusion[1, 0] = car
    confusion[2, 2], confusion[2, 0] = person
    return {"name": name, "condition": condition, "iou": iou, "confusion": confusion.tolist()}


def stage_of(script) -> StageFolder:
    return StageFolder(root=script.journal.file.parent)


@pytest.fixture
def finish_fold(script):
    """Return a function that ends a fold with a checkpoint of these scores."""

    def finish(fold: int, scores: list[dict], outcome: str = "finished", message: str = "") -> Path:
        checkpoint = script.journal.file.parent / "ray" / f"fold_{fold}"
        checkpoint.mkdir(parents=True)
        (checkpoint / SCORES_FILE).write_text(json.dumps(scores))
        script.journal.write(CheckpointSaved(trial=fold, epoch=2, path=f"ray/fold_{fold}"))
        script.end(fold, outcome, message)
        return checkpoint

    return finish


def test_scores_of_all_folds_are_pooled_image_by_image(script, finish_fold, classes):
    plan_folds(script.journal, make_best(), 2)
    finish_fold(
        0,
        [
            score("a", "day", 0.9, car=(90, 10), person=(90, 10)),
            score("b", "day", 0.6, car=(60, 40), person=(0, 0)),
            score("c", "night", 0.3, car=(30, 70), person=(30, 70)),
        ],
    )
    finish_fold(1, [score("d", "night", 0.2, car=(20, 80), person=(0, 0)), score("e", "day", None, (0, 0), (0, 0))])
    result = measure_out_of_fold(stage_of(script), script.journal.history, classes, 0)
    assert result.images == 5
    # Fold 0: (0.9 + 0.6 + 0.3) / 3 = 0.6; fold 1: 0.2, since image e has no scored class.
    assert result.fold_scores == pytest.approx({0: 0.6, 1: 0.2})
    assert result.fold_mean == pytest.approx(0.4)  # (0.6 + 0.2) / 2
    assert result.spread == pytest.approx(0.2828427)  # sqrt((0.2² + 0.2²) / (2 - 1))
    # Over images, not over folds: (0.9 + 0.6 + 0.3 + 0.2) / 4 = 0.5.
    assert result.metrics["iou"] == pytest.approx(0.5)
    assert result.metrics["iou_at/day"] == pytest.approx(0.75)  # (0.9 + 0.6) / 2
    assert result.metrics["iou_at/night"] == pytest.approx(0.25)  # (0.3 + 0.2) / 2
    # Without fold 0, which the search chose on: image d alone.
    assert result.unseen_score == pytest.approx(0.2)
    # Over pixels: cars (90 + 60 + 30 + 20) of 400 and no false ones; persons (90 + 30) of 200.
    assert result.metrics["iou/car"] == pytest.approx(0.5)
    assert result.metrics["iou/person"] == pytest.approx(0.6)
    assert result.metrics["miou_scored"] == pytest.approx(0.55)


def test_folds_that_the_winner_was_confirmed_on_are_not_unseen(script, finish_fold, classes):
    plan_folds(script.journal, make_best(), 3)
    for fold, iou in enumerate((0.9, 0.8, 0.3)):
        finish_fold(fold, [score(f"image{fold}", "day", iou, car=(50, 50), person=(0, 0))])
    result = measure_out_of_fold(stage_of(script), script.journal.history, classes, 0, [1])
    assert (result.unseen_score, result.seen_folds) == (0.3, (0, 1))
    everywhere = measure_out_of_fold(stage_of(script), script.journal.history, classes, 0, [1, 2])
    assert everywhere.unseen_score == pytest.approx(0.55)  # no fold is left, so the search's alone is taken out
    assert everywhere.seen_folds == (0,)


def test_miou_over_every_class_is_told_only_when_every_class_was_learnt(script, finish_fold, classes):
    plan_folds(script.journal, make_best(labels="scored"), 2)
    for fold in range(2):
        finish_fold(fold, [score(f"image{fold}", "day", 0.5, car=(50, 50), person=(0, 0))])
    assert "miou" not in measure_out_of_fold(stage_of(script), script.journal.history, classes, 0).metrics


def test_spread_of_a_single_fold_is_zero():
    result = OutOfFold(
        metric="iou",
        metrics={},
        fold_scores={0: 0.5},
        images=1,
        unseen_score=0.5,
        seen_folds=(0,),
        single_class=("car", 0.1),
    )  # fmt: skip
    assert (result.spread, result.fold_mean) == (0.0, 0.5)


def test_fold_that_has_not_finished_is_refused(script, finish_fold, classes):
    plan_folds(script.journal, make_best(), 2)
    finish_fold(0, [score("a", "day", 0.9, (9, 1), (9, 1))])
    with pytest.raises(CheckpointError, match=r"Fold 1 was not retrained \(it has not finished\)"):
        measure_out_of_fold(stage_of(script), script.journal.history, classes, 0)


def test_fold_that_diverged_is_refused_with_the_reason(script, finish_fold, classes):
    plan_folds(script.journal, make_best(), 2)
    finish_fold(0, [])
    finish_fold(1, [], outcome="diverged", message="The loss is nan in epoch 1")
    with pytest.raises(CheckpointError, match=r"Fold 1 was not retrained \(diverged: The loss is nan in epoch 1\)"):
        measure_out_of_fold(stage_of(script), script.journal.history, classes, 0)


def test_fold_without_its_checkpoint_is_refused(script, finish_fold, classes):
    plan_folds(script.journal, make_best(), 2)
    finish_fold(0, [score("a", "day", 0.9, (9, 1), (9, 1))])
    checkpoint = finish_fold(1, [score("b", "day", 0.9, (9, 1), (9, 1))])
    (checkpoint / SCORES_FILE).unlink()
    checkpoint.rmdir()
    with pytest.raises(
        CheckpointError,
        match=r"of fold 1 is missing .*; restore it, or train that fold anew",
    ):
        measure_out_of_fold(stage_of(script), script.journal.history, classes, 0)


def test_ensemble_holds_the_networks_of_all_folds_and_what_they_scored(
    script, finish_fold, classes, cache, make_dataset, tmp_path
):
    best = make_best()
    config, machine = TrainConfig.from_values(best.values), Machine()
    plan_folds(script.journal, best, 2)
    states = []
    for fold in range(2):
        checkpoint = finish_fold(fold, [score(f"image{fold}", "day", 0.5, car=(50, 50), person=(0, 0))])
        varied = TrainConfig.from_values({**best.values, "seed": fold})
        states.append(new_state(varied, build_label_map(classes, config.labels).outputs, machine))
        save_state(states[-1], checkpoint / STATE_FILE)
    folder = SearchFolder(root=tmp_path)
    folder.retrain_stage.root.symlink_to(script.journal.file.parent)
    split = FoldSplit(folds=2, fold_of={"image0": 0, "image1": 1}, block_of={"image0": "a", "image1": "b"})
    write_folds(split, folder.folds)
    result = measure_out_of_fold(stage_of(script), script.journal.history, classes, 0)
    beside = prepare_cache(read_dataset(make_dataset((32, 48))), tmp_path / "cache")
    build_ensemble(folder, script.journal.history, PixelCache(cache.folder, (beside,)), result, best)

    ensemble = load_ensemble(folder.model, machine)
    assert ensemble.config == config
    assert len(ensemble.members) == 2
    for position, state in enumerate(states):
        member = safetensors.torch.load_file(folder.model / f"member_{position}.safetensors")
        for name, tensor in state.model.state_dict().items():
            assert torch.equal(member[name], tensor), name
    assert not torch.equal(*(next(member.network.parameters()) for member in ensemble.members))
    notes = json.loads((folder.model / "ensemble.json").read_text())["notes"]
    assert notes["out_of_fold"]["iou"] == 0.5
    assert notes["fold_scores"] == {"0": 0.5, "1": 0.5}
    assert (notes["search"], notes["trial"], notes["folds"]) == ("streets", 5, [0, 1])
    assert notes["left_out"] == [0, 1]
    assert notes["extra"] == ["train_0000"]
    assert read_folds(folder.model / "folds.json") == split


def test_scores_out_of_fold_are_in_the_metric_that_decides(script, finish_fold, classes):
    plan_folds(script.journal, make_best(), 3)
    finish_fold(0, [score("a", "day", 0.9, car=(90, 10), person=(0, 0))])
    finish_fold(1, [score("b", "day", 0.2, car=(20, 80), person=(0, 0))])
    finish_fold(2, [score("c", "day", 0.1, car=(0, 0), person=(10, 90))])
    history = read_history(script.journal.file, "iou/car")
    result = measure_out_of_fold(stage_of(script), history, classes, 0)
    # Fold 2 has no car: none of its own, and no part in the mean. Over pixels 110 of 200.
    assert result.metric == "iou/car"
    assert result.fold_scores == {0: 0.9, 1: 0.2}
    assert (result.fold_mean, result.score) == (pytest.approx(0.55), pytest.approx(0.55))
    assert result.unseen_score == pytest.approx(0.2)
    # All car: 200 of 300 pixels.
    assert result.single_class == ("car", pytest.approx(2 / 3))


def test_borders_are_pooled_out_of_fold_too(script, finish_fold, classes):
    plan_folds(script.journal, make_best(), 2)
    for fold, borders in enumerate([[[4, 8], [1, 2], [0, 0], [0, 0]], [[2, 4], [0, 2], [0, 0], [0, 0]]]):
        finish_fold(fold, [{**score(f"i{fold}", "day", 0.5, car=(1, 1), person=(0, 0)), "boundary": borders}])
    history = read_history(script.journal.file, "boundary_iou")
    result = measure_out_of_fold(stage_of(script), history, classes, 0)
    # Road 6 of 12, car 1 of 4; fold by fold (1/2 + 1/2) / 2 and (1/2 + 0) / 2.
    assert result.score == pytest.approx(0.375)
    assert result.fold_scores == {0: pytest.approx(0.5), 1: pytest.approx(0.25)}
    assert result.single_class is None


def test_scores_of_several_seeds_are_those_of_one_network_and_nothing_is_unseen(script, finish_fold, classes):
    plan_folds(script.journal, make_best(), 1, {}, [1, 2])
    for number, iou in enumerate((0.5, 0.7)):
        finish_fold(number, [score("a", "day", iou, (5, 5), (0, 0)), score("b", "day", iou + 0.2, (5, 5), (0, 0))])
    result = measure_out_of_fold(stage_of(script), script.journal.history, classes, 0)
    # Seed 1: (0.5 + 0.7) / 2; seed 2: (0.7 + 0.9) / 2; both: (0.5 + 0.7 + 0.7 + 0.9) / 4.
    assert (result.by, result.images, result.fold_scores) == ("seed", 2, pytest.approx({1: 0.6, 2: 0.8}))
    assert result.metrics["iou"] == pytest.approx(0.7) == result.fold_mean
    assert math.isnan(result.unseen_score)
    assert result.seen_folds == (1, 2)
