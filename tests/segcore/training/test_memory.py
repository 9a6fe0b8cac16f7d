import numpy as np
import pytest
import torch

from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.errors import ConfigError, DeviceMemoryError
from segcore.feeding.samples import TrainingSamples, blank_batch
from segcore.machine import Machine
from segcore.training import memory
from segcore.training.losses import build_loss
from segcore.training.memory import (
    can_divide,
    count_left_bytes,
    find_batch_size,
    measure_batch_size,
    name_memory_errors,
    require_free_memory,
    resolve_batch_size,
    wait_for_memory,
)
from segcore.training.state import new_state

MACHINE = Machine()
TARGET = np.arange(256, dtype=np.uint8)
GIB = 2**30


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        MemoryError(),
    ],
)
def test_too_little_memory_is_named_with_its_remedy(make_config, error):
    with (
        pytest.raises(DeviceMemoryError, match="cpu ran out of memory with batch_size=3, input_mode=full"),
        name_memory_errors(make_config(batch_size=3), Machine()),
    ):
        raise error


def test_other_errors_pass(make_config):
    with pytest.raises(RuntimeError, match="shapes differ"), name_memory_errors(make_config(), Machine()):
        raise RuntimeError("shapes differ")


def test_real_allocation_that_is_too_large_is_named(make_config):
    with pytest.raises(DeviceMemoryError), name_memory_errors(make_config(), Machine()):
        torch.empty(1 << 55, dtype=torch.uint8)


def limit(largest):
    """A device that holds so many samples, and what was tried on it."""
    tried = []

    def try_batch(size):
        tried.append(size)
        if size > largest:
            raise DeviceMemoryError(f"{size} samples are too many")

    return try_batch, tried


@pytest.mark.parametrize(
    ("holds", "smallest", "wanted", "found", "tried"),
    [
        (11, 1, 64, 8, [1, 2, 4, 8, 16]),
        (100, 1, 6, 4, [1, 2, 4]),
        (100, 1, 4, 4, [1, 2, 4]),
        (5, 2, 64, 4, [2, 4, 8]),
        (100, 2, 1, 2, [2]),
    ],
)
def test_largest_power_of_two_that_fits_is_found(holds, smallest, wanted, found, tried):
    try_batch, calls = limit(holds)
    assert find_batch_size(try_batch, smallest, wanted) == found
    assert calls == tried


def test_device_too_small_for_the_smallest_batch_is_named():
    with pytest.raises(DeviceMemoryError, match="2 samples are too many"):
        find_batch_size(limit(1)[0], 2, 64)


class Small(torch.nn.Conv2d):
    """A network on a device that holds five samples, and three once the optimizer has taken its memory."""

    calls = 0

    def forward(self, images_N3HW):
        self.calls += 1
        assert self.training
        if len(images_N3HW) > (5 if self.calls == 1 else 3):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(images_N3HW)


def test_measured_batch_fits_the_device_and_the_state_stays_as_it_is(make_config, cache, monkeypatch):
    config = make_config(batch_size="auto")
    state = new_state(config, 4, MACHINE)
    state.model.network = Small(3, 4, 1)
    state.optimizer = torch.optim.AdamW(state.model.parameters())
    # As it is left by what looks at its latency.
    state.model.eval()
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    samples = TrainingSamples(cache, range(12), config, TARGET)
    assert measure_batch_size(state, samples, build_loss(config), MACHINE) == 2
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.model.state_dict().items())
    assert state.optimizer.state_dict()["state"] == {}
    # A device that is nearly full takes the smallest batch all the same.
    monkeypatch.setattr(memory, "require_free_memory", _find_full)
    assert measure_batch_size(state, samples, build_loss(config), MACHINE) == 1


def _find_full(machine):
    raise torch.OutOfMemoryError("0.1 GiB are left of 8.0")


def test_given_batch_size_stays_and_auto_is_eight_on_a_cpu(make_config, cache):
    for value, expected in ((3, 3), ("auto", 8)):
        config = make_config(batch_size=value)
        state = new_state(config, 4, MACHINE)
        samples = TrainingSamples(cache, range(12), config, TARGET)
        assert resolve_batch_size(state, samples, build_loss(config), MACHINE) == expected


@pytest.mark.parametrize(
    ("decoder", "batch_size", "parts", "possible"),
    [
        ("unet", 5, 1, True),
        ("unet", 5, 2, True),
        ("unet", 5, 4, False),
        ("upernet", 5, 1, True),
        ("upernet", 5, 2, False),
    ],
)
def test_batch_divides_until_parts_are_as_small_as_the_network_takes(make_config, decoder, batch_size, parts, possible):
    # Parts of 5 samples: halves have 2 at least, quarters 1, eighths 0.
    state = new_state(make_config(decoder=decoder), 4, MACHINE)
    state.batch_size, state.micro_batches = batch_size, parts
    assert can_divide(state) is possible


def test_cpu_has_no_memory_to_measure():
    require_free_memory(MACHINE)


@pytest.mark.parametrize(
    ("free", "allowed", "taken", "left"),
    [
        # The whole GPU of 80, 30 of it taken; half of it, of which 38 are taken while a neighbour has nothing.
        (50, 80, 30, 50),
        (42, 40, 38, 2),
        # A neighbour took more than its half.
        (5, 40, 20, 5),
    ],
)
def test_room_on_a_shared_gpu_ends_at_this_trial_s_part(free, allowed, taken, left):
    assert count_left_bytes(free, allowed, taken) == left


def test_batch_is_no_larger_than_the_samples(make_config, cache):
    config = make_config(batch_size=8)
    state = new_state(config, 4, MACHINE)
    for count in (3, 1):
        samples = TrainingSamples(cache, range(count), config, TARGET)
        assert resolve_batch_size(state, samples, build_loss(config), MACHINE) == count


def test_single_sample_is_refused_where_normalisation_needs_two(make_config, cache):
    config = make_config(decoder="upernet")
    samples = TrainingSamples(cache, [0], config, TARGET)
    with pytest.raises(ConfigError, match=r"1 training sample: backbone=.*, decoder=upernet, input_mode=full needs 2"):
        resolve_batch_size(new_state(config, 4, MACHINE), samples, build_loss(config), MACHINE)


@pytest.mark.parametrize(
    ("values", "batch"),
    [
        # Images of 64 x 96: a third is 21 x 32, one pixel for the deepest level; 0.35 is 22 x 34, two of them.
        ({"input_mode": "resize", "scale": 1 / 3}, 2),
        ({"input_mode": "resize", "scale": 0.35}, 1),
        ({"input_mode": "full"}, 1),
    ],
)
def test_batch_of_one_value_per_channel_is_refused_before_training(make_config, cache, values, batch):
    config = make_config(batch_size=1, **values)
    samples = TrainingSamples(cache, range(3), config, TARGET)
    state = new_state(config, 4, MACHINE)
    if batch == 1:
        assert resolve_batch_size(state, samples, build_loss(config), MACHINE) == 1
    else:
        with pytest.raises(ConfigError, match=r"batch_size=1 with samples of 32 x 32 .* use batch_size=2"):
            resolve_batch_size(state, samples, build_loss(config), MACHINE)


def test_single_small_sample_is_refused_whatever_the_batch(make_config, make_dataset, tmp_path):
    cache = PixelCache(prepare_cache(read_dataset(make_dataset((32, 30))), tmp_path / "cache"))
    config = make_config(batch_size="auto")
    samples = TrainingSamples(cache, [0], config, TARGET)
    with pytest.raises(ConfigError, match=r"1 training sample.* needs 2 at a time"):
        resolve_batch_size(new_state(config, 4, MACHINE), samples, build_loss(config), MACHINE)


def test_tried_batch_has_pixels_of_every_class_and_the_size_of_the_samples(make_config, cache):
    config = make_config(input_mode="resize", scale=0.5)
    batch = blank_batch(TrainingSamples(cache, range(3), config, TARGET), 2, 4)
    assert batch.images_NHW3.shape == (2, 32, 48, 3)
    assert batch.target_NHW.shape == (2, 32, 48)
    assert batch.target_NHW.unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("free", "share", "waited"),
    [
        ([78], 1.0, 0.0),
        ([69, 79], 1.0, 0.0),
        ([10, 30, 67, 68], 1.0, 3.0),
        ([30, 34], 0.5, 1.0),
        ([10] * 61 + [80], 1.0, None),
        ([10] * 60 + [80], 1.0, 60.0),
    ],
    ids=["free", "enough is free", "freed after three looks", "a half", "a minute is over", "in the last second"],
)
def test_memory_of_a_dying_process_is_waited_for_a_minute_at_most(free, share, waited):
    """Of 80 GiB a whole training wants 68 free, half a one 34."""
    left, slept = iter(free), []
    assert wait_for_memory(lambda: (next(left) * GIB, 80 * GIB), share, slept.append) == waited
    assert sum(slept) == (60.0 if waited is None else waited)
