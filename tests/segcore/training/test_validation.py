"""How many images are validated together: what memory there is decides, and the scores stay the same."""

import pytest
import torch
from torch import nn

from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.machine import Machine
from segcore.training.state import new_state
from segcore.training.validation import count_pixels_together, first_view, validate

MACHINE = Machine()
SIZES = [(64, 96), (32, 64), (64, 96), (32, 64), (64, 96)]


class _SmallDevice(nn.Conv2d):
    """A network of single pixels whose device holds so many of them."""

    def __init__(self, pixels):
        torch.manual_seed(0)
        super().__init__(3, 4, 1)
        self.pixels = pixels
        self.sizes = []

    def forward(self, images_N3HW):
        self.sizes.append((len(images_N3HW), *images_N3HW.shape[2:]))
        if images_N3HW[:, 0].numel() > self.pixels:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(images_N3HW)


@pytest.fixture
def mixed(make_dataset, tmp_path):
    return PixelCache(prepare_cache(read_dataset(make_dataset(*SIZES)), tmp_path / "mixed"))


def _state(config, pixels):
    state = new_state(config, 4, MACHINE)
    state.batch_size = 1
    state.model.network = _SmallDevice(pixels)
    return state


def test_a_gpu_sees_images_together_and_a_cpu_one_by_one():
    assert first_view(Machine(device="cuda:0")) == "together"
    assert first_view(MACHINE) == "whole"


def test_twice_as_many_pixels_go_together_as_in_a_part_of_a_batch(make_config, mixed):
    state = _state(make_config(), 0)
    state.batch_size, state.micro_batches = 5, 2
    assert count_pixels_together(state, mixed) == 2 * 3 * 64 * 96
    state.config = make_config(input_mode="crop", crop_size=32)
    assert count_pixels_together(state, mixed) == 2 * 3 * 32 * 32


def test_images_are_seen_together_then_alone_and_scored_alike_in_the_order_asked(make_config, mixed):
    roomy, cramped = (_state(make_config(), pixels) for pixels in (1 << 20, 64 * 96))
    indices = [0, 1, 2, 3, 4]
    together = validate(roomy, mixed, indices, MACHINE, "together")
    assert together.view == "together"
    # Twice a batch are 2 x 64 x 96 pixels: of the small images both, of the large ones two.
    assert roomy.model.network.sizes == [(2, 32, 64), (2, 64, 96), (1, 64, 96)]
    alone = validate(cramped, mixed, indices, MACHINE, "together")
    assert alone.view == "whole"
    assert alone.metrics == together.metrics
    assert [score.name for score in together.scores] == [mixed.cases[index].name for index in indices]
    for one, other in zip(together.scores, alone.scores, strict=True):
        assert (one.name, one.iou) == (other.name, other.iou)
        assert (one.confusion_CP == other.confusion_CP).all()
