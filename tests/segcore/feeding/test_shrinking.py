import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore.feeding.shrinking import shrink_mask
from segcore.feeding.transforms import cut_sample

VOID = 255


def _shrink(rows, height, width):
    return shrink_mask(np.array(rows, np.uint8), height, width).tolist()


def test_small_pixel_takes_the_class_of_the_largest_area_under_it():
    # 4 columns to 3: each small pixel covers 4/3 of a column. The second covers 2/3 of column 1 and 2/3 of column 2,
    # equal areas; the third covers 1/3 of column 2 and all of column 3.
    assert _shrink([[5, 5, 7, 9]], 1, 3) == [[5, 5, 9]]
    # Columns 1 and 2 lie to 2/3 each under the middle: 7 and 5 are equal, and the lower index wins.
    assert _shrink([[7, 7, 5, 9]], 1, 3) == [[7, 5, 9]]


def test_areas_of_one_class_add_up():
    # Nine pixels to one: 3 has four of them, 1 three and 2 two, though none of the 3s touch.
    assert _shrink([[3, 1, 3], [1, 2, 1], [3, 2, 3]], 1, 1) == [[3]]


def test_void_counts_as_a_class_and_loses_when_equal():
    assert _shrink([[VOID, 4], [VOID, VOID]], 1, 1) == [[VOID]]
    assert _shrink([[VOID, 4], [4, VOID]], 1, 1) == [[4]]


def test_mask_of_its_own_size_stays_as_it_is():
    mask_HW = np.random.default_rng(0).integers(0, 256, (13, 17), np.uint8)
    np.testing.assert_array_equal(shrink_mask(mask_HW, 13, 17), mask_HW)


@given(st.data())
def test_every_pixel_has_the_class_of_the_most_subpixels(data):
    height, width = (data.draw(st.integers(1, 9)) for _ in range(2))
    small_height, small_width = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    mask_HW = random.choice(np.array([0, 1, 2, VOID], np.uint8), (height, width))
    # Each pixel cut into small_height x small_width subpixels: a small pixel then is height x width of them.
    fine_HW = mask_HW.repeat(small_height, axis=0).repeat(small_width, axis=1)
    expected_hw = [
        [
            np.bincount(fine_HW[row : row + height, column : column + width].ravel()).argmax()
            for column in range(0, width * small_width, width)
        ]
        for row in range(0, height * small_height, height)
    ]
    np.testing.assert_array_equal(shrink_mask(mask_HW, small_height, small_width), expected_hw)


@pytest.mark.parametrize("scale", [0.75, 0.4, 0.3, 0.25])
def test_resized_mask_stands_where_the_resized_image_does(make_config, scale):
    # Two classes and their colours: where the image is more than half white, the mask is the white class. A mask
    # that takes single pixels stands up to half a small pixel beside it.
    mask_HW = np.zeros((60, 100), np.uint8)
    rows_HW, columns_HW = np.mgrid[:60, :100]
    mask_HW[(rows_HW - 31) ** 2 + (columns_HW - 47) ** 2 < 23**2] = 1
    image_HW3 = np.repeat(255 * mask_HW[..., None], 3, axis=2)
    small_HW3, small_HW = cut_sample(
        image_HW3, mask_HW, make_config(input_mode="resize", scale=scale), np.random.default_rng(0)
    )
    white_HW = small_HW3[..., 0].astype(int)
    # Within rounding of half it may be either.
    clear_HW = abs(white_HW - 127.5) > 1
    np.testing.assert_array_equal(small_HW[clear_HW], (white_HW > 127)[clear_HW])


def test_mask_of_noise_is_counted_in_portions_without_a_difference():
    # 300 x 200 small pixels, all of four classes: more than are counted at a time.
    mask_HW = np.tile(np.array([[1, 2], [3, 3]], np.uint8), (300, 200))
    assert (shrink_mask(mask_HW, 300, 200) == 3).all()
