from dataclasses import replace

import pytest

from search.run.measuring import measure_here, pick
from search.run.trial_job import TrialJob
from segcore.config import TrainConfig
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.data.dividing.split import FoldSplit


@pytest.fixture
def job(dataset_folder, tmp_path):
    cache = PixelCache(prepare_cache(read_dataset(dataset_folder), tmp_path))
    folds = {name: number % 2 for number, name in enumerate(cache.names)}
    split = FoldSplit(folds=2, fold_of=folds, block_of={name: name for name in folds})
    return TrialJob(
        data=str(dataset_folder), extra=(), cache_root=tmp_path, cache_key=cache.key, split=split, cpus=1, gpus=0,
        metric="iou",
    )  # fmt: skip


SMALL = {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16, "input_mode": "crop"}


def test_an_epoch_is_measured_on_a_few_images(job):
    values = TrainConfig.from_values({**SMALL, "crop_size": 32, "crops_per_image": 1, "batch_size": 4}).values()
    measured = measure_here(values, job, 0)
    assert measured.problem == ""
    assert measured.epoch_seconds > 0
    assert measured.start_seconds > 0, "the network is built, at least"
    assert measured.memory_gib > 0


def test_what_cannot_be_measured_says_why(job):
    values = TrainConfig.from_values({**SMALL, "crop_size": 4096, "batch_size": 4}).values()
    measured = measure_here(values, job, 0)
    assert measured.epoch_seconds != measured.epoch_seconds
    assert "4096" in measured.problem
    unseen = measure_here(values, replace(job, gpus=1.0), 0)
    assert unseen.problem


@pytest.mark.parametrize(
    ("count", "picked"), [(2, [0, 5]), (3, [0, 3, 6]), (10, list(range(10))), (99, list(range(10)))]
)
def test_images_are_picked_evenly(count, picked):
    assert pick(range(10), count) == picked
