import numpy as np
import pytest
import torch

from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.classes import VOID
from segcore.data.dataset import read_dataset
from segcore.data.labels import build_label_map
from segcore.feeding.loader import TrainingLoader
from segcore.feeding.samples import TrainingSamples, blank_batch

MIXED = {"class_mix_probability": 0.5, "copy_paste_probability": 0.5, "scale_jitter": 2.0, "max_class_share": 0.75}
CROPS = {"input_mode": "crop", "crop_size": 32, "batch_size": 5}


def _samples(cache, config, indices=range(8)):
    return TrainingSamples(cache, list(indices), config, build_label_map(cache.classes, "full").target_of_class)


@pytest.mark.parametrize("more", [{}, {"augmentation": "strong", "augmentation_on": "device"}])
def test_number_of_loader_processes_changes_no_mixed_sample(cache, make_config, more):
    config = make_config(**CROPS, **MIXED, rare_crop_probability=0.5, **more)
    alone, helped = (
        TrainingLoader(_samples(cache, config), config, 5, workers=workers, pin_memory=False) for workers in (0, 2)
    )
    for epoch in (0, 1):
        for one, two in zip(alone.epoch(epoch), helped.epoch(epoch), strict=True):
            assert one.images_NHW3.equal(two.images_NHW3) and one.target_NHW.equal(two.target_NHW)
            assert (one.changes_NP is None) == (not more)
            assert one.changes_NP is None or one.changes_NP.equal(two.changes_NP)


@pytest.mark.parametrize("name", ["class_mix_probability", "copy_paste_probability"])
def test_each_pixel_of_a_mixed_sample_is_one_of_a_training_image(cache, make_config, name):
    # Cases are of one size and noise, so that equal pixels are the same pixels.
    samples = _samples(cache, make_config(input_mode="full", augmentation="none", **{name: 1.0}), [2, 5])
    mixed = 0
    for epoch in range(6):
        sample = samples[epoch, 0]
        of_2_HW, of_5_HW = (
            (sample.image_HW3 == cache.image_HW3(index)).all(2) & (sample.target_HW == cache.mask_HW(index))
            for index in (2, 5)
        )
        assert (of_2_HW | of_5_HW).all()
        pasted_HW = ~of_2_HW
        if name == "copy_paste_probability":
            # Scored are car and person.
            assert pasted_HW.any() and set(sample.target_HW[pasted_HW]) <= {1, 2}
        mixed += pasted_HW.any()
    assert mixed >= 2


def test_objects_come_from_no_image_of_their_own(cache, make_config):
    samples = _samples(cache, make_config(input_mode="full", augmentation="none", copy_paste_probability=1.0), [3])
    np.testing.assert_array_equal(samples[0, 0].image_HW3, cache.image_HW3(3))


# One sample in eight is mixed with itself; objects are another image's.
@pytest.mark.parametrize(("name", "expected"), [("copy_paste_probability", 60), ("class_mix_probability", 60 * 7 / 8)])
def test_share_of_mixed_samples_is_the_configured_one(cache, make_config, name, expected):
    samples = _samples(cache, make_config(input_mode="full", augmentation="none", **{name: 0.3}))
    mixed = [
        not np.array_equal(samples[epoch, position].image_HW3, cache.image_HW3(position))
        for epoch in range(25)
        for position in range(8)
    ]
    # Of 200: standard deviation 6.5.
    assert abs(sum(mixed) - expected) < 26


@pytest.mark.parametrize("values", [{"input_mode": "full"}, {"input_mode": "resize", "scale": 0.5}, CROPS])
def test_jitter_changes_no_size(cache, make_config, values):
    plain = _samples(cache, make_config(**values))
    jittered = _samples(cache, make_config(**values, scale_jitter=2.0, augmentation="strong"))
    for position in range(6):
        assert jittered[0, position].target_HW.shape == plain[0, position].target_HW.shape
    assert jittered.largest_size == plain.largest_size


def test_sizes_are_those_of_the_largest_sample_along_each_side(make_dataset, make_config, tmp_path):
    """Memory is tried and shared for what no batch exceeds."""
    folder = make_dataset((24, 40), (80, 96), (64, 160))
    cache = PixelCache(prepare_cache(read_dataset(folder), tmp_path / "cache"))
    samples = _samples(cache, make_config(input_mode="full"), range(3))
    assert (samples.largest_size, samples.are_alike, samples.shortest_long_side) == ((80, 160), False, 40)
    assert samples.count_bytes(2) == 4 * 2 * 80 * 160
    assert _samples(cache, make_config(input_mode="full"), [1]).are_alike
    batch = blank_batch(samples, 2, 5)
    assert (batch.images_NHW3.shape, batch.images_NHW3.dtype) == ((2, 80, 160, 3), torch.uint8)
    assert (batch.target_NHW.shape, batch.target_NHW.unique().tolist()) == ((2, 80, 160), [0, 1, 2, 3, 4])


def test_room_counts_in_shared_memory_but_not_for_the_network(cache, make_config):
    config = make_config(**CROPS, augmentation="strong", augmentation_on="device")
    samples = _samples(cache, config)
    # 32 * 0.15846 / 2 = 2.5, so 3 pixels on each side.
    assert samples.largest_size == (32, 32)
    assert samples[0, 0].target_HW.shape == (38, 38)
    assert samples.count_bytes(5) == 4 * 5 * 38 * 38
    assert samples.count_bytes(1000) == 4 * len(samples) * 38 * 38, "no batch has more than there are"
    # What the image has around the crop is there, the rest is void.
    assert any((samples[0, position].target_HW[:3] != VOID).any() for position in range(6))
