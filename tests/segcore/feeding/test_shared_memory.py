import os
import subprocess
import sys
from pathlib import Path

import pytest

from segcore.feeding.shared_memory import find_free_bytes, plan_workers

ROOT = Path(__file__).parents[3]

MB = 10**6


# Batches of 10 MB: three processes make six ahead, and two belong to the training: 80 MB of the 80 % that may be taken.
@pytest.mark.parametrize(
    ("free", "workers"), [(100 * MB, 3), (100 * MB - 1, 2), (75 * MB, 2), (50 * MB, 1), (50 * MB - 1, 0), (0, 0)]
)
def test_as_many_processes_load_as_shared_memory_has_room_for(free, workers):
    plan = plan_workers(3, 10 * MB, 1, free)
    assert plan.workers == workers
    assert bool(plan.note) == (workers < 3)


def test_batches_that_a_step_holds_are_counted():
    # Four batches a step: 2 * 3 + 2 * 4 = 14 batches of 10 MB, of 80 % of 175 MB.
    assert plan_workers(3, 10 * MB, 4, 175 * MB).workers == 3
    assert plan_workers(3, 10 * MB, 4, 174 * MB).workers == 2


def test_note_says_what_is_needed_and_how_a_container_gets_it():
    note = plan_workers(3, 10 * MB, 1, 64 * MB).note
    assert "has 64 MB free, and batches of 10.0 MB from 3 loader processes need 100 MB: 1 of 3 loader processes" in note
    assert "--shm-size=2g" in note
    assert "no loader process used" in plan_workers(3, 10 * MB, 1, 1 * MB).note


def test_system_without_shared_memory_has_no_limit(tmp_path):
    assert find_free_bytes(tmp_path / "none") is None
    assert find_free_bytes(tmp_path) > 0
    assert plan_workers(3, 10 * MB, 1, None).workers == 3


_TRAINING = """
import sys
from pathlib import Path
from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.caching.build import prepare_cache
from segcore.data.dataset import read_dataset
from segcore.data.labels import build_label_map
from segcore.errors import StorageError
from segcore.feeding.loader import TrainingLoader
from segcore.feeding.samples import TrainingSamples
from segcore.feeding.shared_memory import find_free_bytes, plan_workers

cache = PixelCache(prepare_cache(read_dataset(Path(sys.argv[1])), Path(sys.argv[2])))
config = TrainConfig.from_values(
    {"input_mode": "crop", "crop_size": 384, "crops_per_image": 24, "batch_size": 16, "augmentation": "none"}
)
samples = TrainingSamples(cache, [0, 1], config, build_label_map(cache.classes, "full").target_of_class)
plan = plan_workers(1, samples.count_bytes(16), 1, find_free_bytes())
print("planned", plan.workers, flush=True)
for workers in (1, 0):
    loader = TrainingLoader(samples, config, 16, workers=workers, pin_memory=False)
    try:
        print("batches", len([batch.target_NHW.sum() for batch in loader.epoch(0)]), flush=True)
    except StorageError as error:
        print("refused", error, flush=True)
"""


def _train_in_a_small_container(data, place):
    # A mount that this process alone sees.
    mount = "mount -t tmpfs -o size=16m tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount a small /dev/shm")
    script = place / "training.py"
    script.write_text(_TRAINING)
    command = f'{mount} && exec "$0" "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command, sys.executable, script, data, place / "cache"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's mount namespaces")
def test_full_shared_memory_neither_hangs_a_training_nor_goes_unsaid(make_dataset, tmp_path):
    # A batch has 16 x 384 x 384 x 4 = 9.4 MB: a second finds no room in 16 MB.
    data = make_dataset((400, 400), (400, 400))
    planned, refused, trained = _train_in_a_small_container(data, tmp_path).splitlines()
    assert planned == "planned 0"
    assert refused.startswith("refused Shared memory (/dev/shm) is full, and 1 loader processes")
    assert trained == "batches 3"
