import multiprocessing

import numpy as np
import pytest
import torch

from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.classes import VOID
from segcore.data.dataset import read_dataset
from segcore.data.labels import build_label_map
from segcore.errors import ConfigError, StorageError
from segcore.feeding.batch import Batch
from segcore.feeding.changes import pack_change
from segcore.feeding.loader import PADDING_GREY, TrainingLoader, collate, name_killed_loaders
from segcore.feeding.samples import Sample, TrainingSamples
from segcore.feeding.tensor_augmentation import change_batch

CROPS = {"input_mode": "crop", "crop_size": 32, "batch_size": 5}


def _samples(cache, config, indices=range(8), labels="full"):
    return TrainingSamples(cache, list(indices), config, build_label_map(cache.classes, labels).target_of_class)


def _loader(cache, config, workers=0, indices=range(8)):
    return TrainingLoader(
        _samples(cache, config, indices), config, config.batch_size, workers=workers, pin_memory=False
    )


def _epoch(loader, epoch):
    return [(batch.images_NHW3.clone(), batch.target_NHW.clone()) for batch in loader.epoch(epoch)]


def _assert_equal(one, two):
    assert len(one) == len(two) > 0
    for (images, target), (other_images, other_target) in zip(one, two, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(target, other_target)


def test_batches_of_an_epoch_that_was_begun_are_those_of_one_that_was_not(cache, make_config):
    config = make_config(**CROPS)
    plain, ahead = _loader(cache, config), _loader(cache, config, workers=1)
    for epoch in (0, 1):
        _assert_equal(_epoch(plain, epoch), _epoch(ahead, epoch))
        ahead.begin(epoch + 1)
    # Another epoch than the one that was begun: what was made for that is left.
    _assert_equal(_epoch(plain, 5), _epoch(ahead, 5))


def test_epoch_that_was_broken_off_starts_anew_though_it_was_begun(cache, make_config):
    """As where a device had too little memory for a batch, and the epoch is taken again in parts."""
    config = make_config(**CROPS)
    plain, ahead = _loader(cache, config), _loader(cache, config, workers=1)
    ahead.begin(1)
    next(ahead.epoch(1))
    _assert_equal(_epoch(plain, 1), _epoch(ahead, 1))


def test_loader_process_that_is_killed_is_told_with_a_remedy_wherever_the_training_is(cache, make_config):
    others = multiprocessing.active_children()
    loader = _loader(cache, make_config(**CROPS), workers=1)
    _epoch(loader, 0)
    (process,) = set(multiprocessing.active_children()).difference(others)
    with pytest.raises(StorageError, match=r"loader process was killed .* use fewer --cpus"), name_killed_loaders():
        process.kill()
        _epoch(loader, 1)
    # Other errors are the training's own.
    with pytest.raises(RuntimeError, match="sizes differ"), name_killed_loaders():
        raise RuntimeError("sizes differ")


def test_idle_loader_processes_make_the_next_batches_before_they_are_asked_for(cache, make_config):
    samples = _samples(cache, make_config(**CROPS))
    asked = multiprocessing.get_context("fork").Semaphore(0)
    take = samples.__class__.__getitem__

    class Watched(TrainingSamples):
        def __getitem__(self, address):
            if address[0] == 1:
                asked.release()
            return take(self, address)

    samples.__class__ = Watched
    loader = TrainingLoader(samples, make_config(**CROPS), 5, workers=1, pin_memory=False)
    _epoch(loader, 0)
    loader.begin(1)
    assert asked.acquire(timeout=600), "nothing of epoch 1 is made before it is asked for"


def test_training_resumed_at_epoch_3_sees_the_same_samples(cache, make_config):
    config = make_config(**CROPS)
    through = _loader(cache, config)
    for epoch in range(3):
        _epoch(through, epoch)
    _assert_equal(_epoch(through, 3), _epoch(_loader(cache, config), 3))


def test_sample_of_one_position_differs_between_epochs_and_crops(cache, make_config):
    config = make_config(**CROPS)
    samples = _samples(cache, config, indices=[0])
    # One image of 64 x 96 gives 6 crops; over 4 epochs 24 crops of 33 x 65 places.
    crops = {samples[epoch, position].image_HW3.tobytes() for epoch in range(4) for position in range(len(samples))}
    assert len(samples) == 6
    assert len(crops) >= 22
    np.testing.assert_array_equal(samples[2, 4].image_HW3, samples[2, 4].image_HW3)


def test_order_differs_between_epochs_and_seeds(cache, make_config):
    values = {"input_mode": "full", "augmentation": "none", "batch_size": 1}
    loader = _loader(cache, make_config(**values))
    other_seed = _loader(cache, make_config(**values, seed=1))
    orders = [
        [target.numpy().tobytes() for _, target in _epoch(*pass_)]
        for pass_ in ((loader, 0), (loader, 1), (other_seed, 0))
    ]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]
    # Three orders of the same eight images.
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(orders[2])
    assert len(set(orders[0])) == 8


def test_epoch_sees_every_training_image_once_and_no_other(cache, make_config):
    config = make_config(input_mode="full", augmentation="none", batch_size=2)
    indices = [1, 4, 6, 11]
    seen = [image.numpy() for images, _ in _epoch(_loader(cache, config, indices=indices), 0) for image in images]
    assert sorted(image.tobytes() for image in seen) == sorted(cache.image_HW3(index).tobytes() for index in indices)


def test_flipped_samples_carry_flipped_targets(cache, make_config):
    samples = _samples(cache, make_config(input_mode="full", augmentation="flip"), indices=[0])
    image_HW3, mask_HW = cache.image_HW3(0), cache.mask_HW(0)
    kinds = set()
    for epoch in range(20):
        sample = samples[epoch, 0]
        sample_HW3, target_HW = sample.image_HW3, sample.target_HW
        flipped = not np.array_equal(sample_HW3, image_HW3)
        np.testing.assert_array_equal(sample_HW3, image_HW3[:, ::-1] if flipped else image_HW3)
        np.testing.assert_array_equal(target_HW, mask_HW[:, ::-1] if flipped else mask_HW)
        kinds.add(flipped)
    assert kinds == {False, True}


def test_targets_are_outputs_of_the_network(cache, make_config):
    config = make_config(input_mode="full", augmentation="none", labels="scored")
    target_HW = _samples(cache, config, indices=[0], labels="scored")[0, 0].target_HW
    mask_HW = cache.mask_HW(0)
    # Scored: car (class 1) is output 0, person (2) is 1; road (0) and sky (3) are background 2.
    for index, output in ((0, 2), (1, 0), (2, 1), (3, 2), (VOID, VOID)):
        assert set(target_HW[mask_HW == index]) == {output}


def test_last_smaller_batch_is_left_out(cache, make_config):
    loader = _loader(cache, make_config(input_mode="full", batch_size=3))
    # 8 images: two batches of 3, two images left out.
    assert len(loader) == 2
    assert [len(images) for images, _ in _epoch(loader, 0)] == [3, 3]


def test_fewer_images_than_a_batch_make_one_smaller_batch(cache, make_config):
    loader = _loader(cache, make_config(input_mode="full", batch_size=100))
    assert [len(images) for images, _ in _epoch(loader, 0)] == [8]


def test_crop_larger_than_an_image_is_refused(cache, make_config):
    with pytest.raises(ConfigError, match=r"crop_size=65 is larger than the shorter side of the images, 64"):
        _samples(cache, make_config(input_mode="crop", crop_size=65))


def test_one_small_image_does_not_rule_out_larger_crops(make_dataset, make_config, tmp_path):
    folder = make_dataset((24, 40), *[(80, 96)] * 3)
    cache = PixelCache(prepare_cache(read_dataset(folder), tmp_path / "cache"))
    samples = _samples(cache, make_config(input_mode="crop", crop_size=64), indices=range(4))
    shapes = {samples[0, position].image_HW3.shape for position in range(len(samples))}
    assert shapes == {(64, 64, 3)} and samples.largest_size == (64, 64)
    with pytest.raises(ConfigError, match="crop_size=96 is larger than the shorter side of the images, 80 pixels"):
        _samples(cache, make_config(input_mode="crop", crop_size=96), indices=range(4))


def test_padding_of_smaller_samples_is_grey_and_void():
    small = Sample(image_HW3=np.full((2, 3, 3), 7, np.uint8), target_HW=np.full((2, 3), 1, np.uint8))
    large = Sample(image_HW3=np.full((4, 2, 3), 9, np.uint8), target_HW=np.full((4, 2), 2, np.uint8))
    images_NHW3, target_NHW, _ = collate([small, large])
    assert target_NHW.tolist() == [
        [[VOID] * 3, [1, 1, 1], [1, 1, 1], [VOID] * 3],
        [[2, 2, VOID]] * 4,
    ]
    assert images_NHW3.dtype == target_NHW.dtype == torch.uint8
    assert (images_NHW3[0, 1:3] == 7).all() and (images_NHW3[1, :, :2] == 9).all()
    assert (images_NHW3[0, [0, 3]] == PADDING_GREY).all() and (images_NHW3[1, :, 2] == PADDING_GREY).all()


def test_smaller_sample_is_turned_around_its_own_middle():
    """A quarter turn of 2 x 2 pixels in a batch with a picture of 6 x 4: against the clock, at its place."""
    change_P = pack_change({"degrees": 90})
    small, large = (
        Sample(image_HW3=target_HW[..., None].repeat(3, 2), target_HW=target_HW, change_P=change_P)
        for target_HW in (np.array([[1, 2], [3, 4]], np.uint8), np.full((6, 4), 9, np.uint8))
    )
    images_NHW3, target_NHW, changes_NP = collate([small, large])
    batch = Batch(images_NHW3=images_NHW3, target_NHW=target_NHW, changes_NP=changes_NP)
    changed = change_batch(batch, 0, "cpu")
    assert changed.target_NHW[0, 2:4, 1:3].tolist() == [[2, 4], [1, 3]]
    assert (changed.target_NHW[0] != VOID).sum() == 4
    assert changed.images_NHW3[0, 2:4, 1:3, 0].tolist() == [[2, 4], [1, 3]]


def test_images_of_mixed_sizes_share_a_batch(make_dataset, make_config, tmp_path):
    folder = make_dataset((32, 48), (40, 32))
    mixed = PixelCache(prepare_cache(read_dataset(folder), tmp_path / "cache"))
    config = make_config(input_mode="full", augmentation="none", batch_size=2)
    ((images_NHW3, target_NHW),) = _epoch(_loader(mixed, config, indices=[0, 1]), 0)
    assert images_NHW3.shape == (2, 40, 48, 3)
    # The 4 x 4 void corner of each, and padding: 40 * 48 - 32 * 48 = 384 and 40 * 48 - 40 * 32 = 640 pixels.
    assert sorted((target_NHW == VOID).sum(dim=(1, 2)).tolist()) == [16 + 384, 16 + 640]


def test_number_of_loader_processes_changes_no_sample(cache, make_config):
    config = make_config(**CROPS, augmentation="strong", rare_crop_probability=0.5)
    alone, helped = _loader(cache, config, workers=0), _loader(cache, config, workers=2)
    for epoch in (0, 1):
        _assert_equal(_epoch(alone, epoch), _epoch(helped, epoch))


@pytest.mark.parametrize("strength", ["light", "strong"])
def test_no_process_and_no_epoch_repeats_the_augmentation_of_another(cache, make_config, strength):
    # Sixteen times the same image: what differs is augmentation. Batches go to the two processes in turn.
    config = make_config(input_mode="full", augmentation=strength, batch_size=1)
    loader = _loader(cache, config, workers=2, indices=[0] * 16)
    streams = []
    for epoch in (0, 1):
        seen = [images.numpy().tobytes() for images, _ in _epoch(loader, epoch)]
        streams += [seen[0::2], seen[1::2]]
    # One stream repeated gives 8 or 16 of 32; some samples stay as they were, or are only mirrored.
    assert len({image for stream in streams for image in stream}) >= 24
    for position in range(8):
        assert len({stream[position] for stream in streams}) >= 2


def _crops(cache, config, epochs):
    samples = _samples(cache, config)
    return [samples[epoch, position].target_HW for epoch in range(epochs) for position in range(len(samples))]


def test_share_of_crops_with_a_scored_class_rises_as_configured(cache, make_config):
    values = {"input_mode": "crop", "crop_size": 32, "augmentation": "none"}

    def share(probability):
        crops = _crops(cache, make_config(**values, rare_crop_probability=probability), 40)
        return np.mean([bool(np.isin(crop_HW, (1, 2)).any()) for crop_HW in crops])

    plain = share(0.0)
    assert plain < 0.9
    # 1,920 crops: standard deviation below 0.011.
    assert abs(share(0.5) - (0.5 + 0.5 * plain)) < 0.04
    assert share(1.0) == 1


def test_rarer_scored_class_gains_most_from_rare_crops(cache, make_config):
    values = {"input_mode": "crop", "crop_size": 32, "augmentation": "none"}

    def mean_shares(probability):
        crops = _crops(cache, make_config(**values, rare_crop_probability=probability), 20)
        return np.array([np.mean([(crop_HW == index).mean() for crop_HW in crops]) for index in (1, 2)])

    pixels = [sum(case.class_pixels[index] for case in cache.cases[:8]) for index in (1, 2)]
    assert pixels[1] < pixels[0]
    car_gain, person_gain = mean_shares(1.0) / mean_shares(0.0)
    assert person_gain > car_gain > 1


def test_rare_crops_depend_on_seed_epoch_and_position_alone(cache, make_config):
    config = make_config(**CROPS, rare_crop_probability=0.7)
    one, two = _samples(cache, config), _samples(cache, config)
    addresses = [(epoch, position) for epoch in range(2) for position in range(len(one))]
    forward = [one[address].image_HW3.tobytes() for address in addresses]
    backward = [two[address].image_HW3.tobytes() for address in reversed(addresses)]
    assert forward == backward[::-1]


def test_without_rare_crops_a_sample_is_what_it_was_before_they_existed(cache, make_config):
    config = make_config(**{**CROPS, "augmentation": "none"})
    random = np.random.default_rng((0, 2, 3, 4))
    # 64 - 32 + 1 rows and 96 - 32 + 1 columns; six crops per image, so position 4 is of the first.
    top, left = int(random.integers(33)), int(random.integers(65))
    np.testing.assert_array_equal(
        _samples(cache, config)[3, 4].image_HW3, cache.image_HW3(0)[top : top + 32, left : left + 32]
    )
