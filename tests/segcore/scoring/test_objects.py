import numpy as np

from segcore.scoring.objects import find_objects, join_objects

MASK_HW = np.array(
    [
        [1, 1, 0, 0, 1],
        [0, 0, 1, 0, 1],
        [0, 0, 0, 0, 1],
        [2, 0, 255, 0, 0],
        [0, 2, 0, 0, 1],
    ],
    np.uint8,
)


def test_connected_parts_of_a_class_are_counted_corners_included():
    # Three pixels with one over a corner, a column of three, one alone.
    assert sorted(find_objects(MASK_HW, 1).areas_N.tolist()) == [1, 3, 3]
    assert find_objects(MASK_HW, 2).areas_N.tolist() == [2]
    assert find_objects(MASK_HW, 3).areas_N.tolist() == []


def test_found_pixels_are_those_predicted_as_the_class():
    prediction_HW = np.ones_like(MASK_HW)
    prediction_HW[0] = 0
    objects = find_objects(MASK_HW, 1, prediction_HW)
    pairs = sorted(zip(objects.areas_N.tolist(), objects.found_N.tolist(), strict=True))
    assert pairs == [(1, 1), (3, 1), (3, 2)]
    assert find_objects(MASK_HW, 2, prediction_HW).found_N.tolist() == [0]


def test_sizes_change_at_32_and_96_pixels_a_side():
    mask_HW = np.zeros((100, 400), np.uint8)
    for left, area in ((0, 1023), (60, 1024), (140, 9215), (270, 9216)):
        rows, rest = divmod(area, 96)
        mask_HW[:rows, left : left + 96] = 1
        mask_HW[rows, left : left + rest] = 1
        if left < 140:
            mask_HW[:, left:] = 0
            side = np.zeros(32 * 32, np.uint8)
            side[:area] = 1
            mask_HW[:32, left : left + 32] = side.reshape(32, 32)
    objects = find_objects(mask_HW, 1)
    sizes = dict(zip(objects.areas_N.tolist(), objects.sizes_N.tolist(), strict=True))
    assert sizes == {1023: 0, 1024: 1, 9215: 1, 9216: 2}


def test_objects_of_masks_are_joined():
    joined = join_objects([find_objects(MASK_HW, 1), find_objects(MASK_HW, 2)])
    assert sorted(joined.areas_N.tolist()) == [1, 2, 3, 3]
    assert join_objects([]).areas_N.tolist() == []
