import numpy as np

from segcore.data.classes import VOID
from segcore.feeding.mixing import mix_classes, paste_objects


def _sample(mask_HW, grey):
    mask_HW = np.array(mask_HW, np.uint8)
    return np.full((*mask_HW.shape, 3), grey, np.uint8), mask_HW


def test_half_of_the_classes_rounded_up_are_laid_over_at_their_places():
    sample = _sample([[9, 9, 9, 9]] * 2, 10)
    other = _sample([[1, 1, 2, VOID], [3, 3, 3, VOID]], 200)
    kinds = set()
    for seed in range(30):
        image_HW3, mask_HW = mix_classes(sample, other, np.random.default_rng(seed))
        laid = set(np.unique(mask_HW)) - {9}
        # Two of three, and never void.
        assert len(laid) == 2 and laid < {1, 2, 3}
        for index, place_HW in ((1, other[1] == 1), (2, other[1] == 2), (3, other[1] == 3)):
            assert (mask_HW[place_HW] == (index if index in laid else 9)).all()
            assert (image_HW3[place_HW] == (200 if index in laid else 10)).all()
        assert (mask_HW[:, 3] == 9).all() and (image_HW3[:, 3] == 10).all()
        kinds.add(frozenset(laid))
    assert len(kinds) == 3
    assert (sample[0] == 10).all() and (sample[1] == 9).all()


def test_samples_of_two_sizes_meet_at_the_top_left_corner():
    for sizes in (((2, 3), (4, 2)), ((4, 2), (2, 3))):
        sample, other = (_sample(np.full(size, index), index) for size, index in zip(sizes, (9, 1), strict=True))
        image_HW3, mask_HW = mix_classes(sample, other, np.random.default_rng(0))
        assert mask_HW.shape == sizes[0]
        assert (mask_HW[:2, :2] == 1).all() and (mask_HW == 1).sum() == 4
        np.testing.assert_array_equal(image_HW3[..., 0], mask_HW)


def test_a_sample_of_void_alone_adds_nothing():
    sample, other = _sample([[9, 9]], 10), _sample([[VOID, VOID]], 200)
    image_HW3, mask_HW = mix_classes(sample, other, np.random.default_rng(0))
    assert (image_HW3 == 10).all() and (mask_HW == 9).all()


def _objects():
    """Of class 1 five squares of 16 pixels, of class 2 one of 16 and one of 15 pixels."""
    mask_HW = np.zeros((12, 30), np.uint8)
    for left in (0, 6, 12, 18, 24):
        mask_HW[:4, left : left + 4] = 1
    mask_HW[6:10, :4] = 2
    mask_HW[6:9, 10:15] = 2
    return mask_HW


def test_objects_of_the_rarest_class_come_first_and_whole():
    sample, other = _sample(np.full((12, 30), 9), 10), _sample(_objects(), 200)
    counts = set()
    for seed in range(60):
        image_HW3, mask_HW = paste_objects(sample, other, (2, 1), np.random.default_rng(seed))
        # The only one of class 2 that has 16 pixels is always there; the rest is of class 1.
        assert (mask_HW[6:10, :4] == 2).all() and (mask_HW == 2).sum() == 16
        objects, rest = divmod(int((mask_HW == 1).sum()), 16)
        assert rest == 0
        np.testing.assert_array_equal(image_HW3[..., 0] == 200, mask_HW != 9)
        counts.add(objects)
    # One to five objects are wanted, six are there.
    assert counts == {0, 1, 2, 3, 4}


def test_objects_that_touch_at_a_corner_are_one():
    mask_HW = np.zeros((8, 8), np.uint8)
    mask_HW[:4, :4] = mask_HW[4:, 4:] = 1
    _, pasted_HW = paste_objects(_sample(np.zeros((8, 8)), 10), _sample(mask_HW, 200), (1,), np.random.default_rng(0))
    np.testing.assert_array_equal(pasted_HW, mask_HW)


def test_without_objects_a_sample_stays_as_it_is():
    image_HW3, mask_HW = paste_objects(_sample([[9, 9]], 10), _sample([[1, 1]], 200), (1, 2), np.random.default_rng(0))
    assert (image_HW3 == 10).all() and (mask_HW == 9).all()
