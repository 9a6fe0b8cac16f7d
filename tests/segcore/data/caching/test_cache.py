import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache, find_damaged, open_cache
from segcore.data.dataset import decode_case, read_dataset
from segcore.data.dividing.likeness import look_at
from segcore.errors import CheckpointError

MIXED_SIZES = ((32, 48), (40, 32), (33, 35), (64, 96))


def _assert_equals_files(cache, folder):
    dataset = read_dataset(folder)
    assert len(cache) == len(dataset.cases)
    for index, case in enumerate(dataset.cases):
        decoded = decode_case(case)
        np.testing.assert_array_equal(cache.image_HW3(index), decoded.image_HW3)
        np.testing.assert_array_equal(cache.image_HW3(index), np.array(Image.open(case.image)))
        np.testing.assert_array_equal(cache.mask_HW(index), decoded.mask_HW)
        np.testing.assert_array_equal(cache.own_looks_NHW[index], look_at(decoded.image_HW3))


def test_cache_has_the_files_pixels_for_images_of_mixed_sizes(make_dataset, tmp_path):
    folder = make_dataset(*MIXED_SIZES)
    cache = PixelCache(prepare_cache(read_dataset(folder), tmp_path / "cache"))
    _assert_equals_files(cache, folder)
    assert [cache.mask_HW(index).shape for index in range(4)] == list(MIXED_SIZES)
    assert cache.usual_side == 32


def test_cache_knows_names_annotations_and_classes(cache, classes):
    assert cache.classes == classes
    assert cache.names[:2] == ("train_0000", "train_0001")
    case = cache.cases[3]
    assert (case.group, case.condition, case.frame, case.height, case.width) == ("Saitama", "night", 30, 64, 96)


def test_cache_knows_the_pixels_of_each_class_and_of_void(cache):
    for index, case in enumerate(cache.cases):
        mask_HW = cache.mask_HW(index)
        assert case.class_pixels == tuple(int((mask_HW == value).sum()) for value in (0, 1, 2, 3, 255))
        # draw_mask paints a void corner of 4 x 4.
        assert case.class_pixels[4] == 16


def test_pixels_cannot_be_changed(cache):
    with pytest.raises(ValueError, match="read-only"):
        cache.image_HW3(0)[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        cache.mask_HW(0)[0, 0] = 1


def test_pickle_carries_the_place_instead_of_the_pixels(cache):
    content = pickle.dumps(cache)
    # 12 images of 64 x 96 x 3 bytes are 221 kB.
    assert len(content) < 1000
    np.testing.assert_array_equal(pickle.loads(content).image_HW3(5), cache.image_HW3(5))


def _cut_short(file):
    file.write_bytes(file.read_bytes()[:-1])


def _flip_a_byte(file, bits=1):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= bits
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [_cut_short, Path.unlink])
@pytest.mark.parametrize("name", ["images.u8", "masks.u8", "looks.u8", "index.json"])
def test_opening_a_cache_that_is_not_whole_is_refused(make_dataset, tmp_path, name, damage):
    place = prepare_cache(read_dataset(make_dataset()), tmp_path / "cache")
    damage(place / name)
    with pytest.raises(CheckpointError, match="prepare it again"):
        PixelCache(place)


@pytest.mark.parametrize("name", ["images.u8", "masks.u8"])
def test_a_changed_pixel_shows_when_all_are_read(make_dataset, tmp_path, name):
    place = prepare_cache(read_dataset(make_dataset()), tmp_path / "cache")
    assert find_damaged(PixelCache(place)) == ()
    # The middle of four equal images is the first byte of the third.
    _flip_a_byte(place / name)
    assert find_damaged(PixelCache(place)) == ("train_0002",)


def test_a_changed_look_shows_when_all_is_read_but_not_the_rounding_of_another_processor(make_dataset, tmp_path):
    place = prepare_cache(read_dataset(make_dataset()), tmp_path / "cache")
    _flip_a_byte(place / "looks.u8", bits=1)
    assert find_damaged(PixelCache(place)) == ()
    _flip_a_byte(place / "looks.u8", bits=128)
    assert find_damaged(PixelCache(place)) == ("train_0002",)


def test_opening_by_key_says_that_the_cache_is_in_use(make_dataset, tmp_path):
    place = prepare_cache(read_dataset(make_dataset()), tmp_path / "cache")
    os.utime(place, (1e9, 1e9))
    open_cache(tmp_path / "cache", place.name)
    assert place.stat().st_mtime > 1.5e9
