import numpy as np
import pytest

from search.tracking.served import is_single, read_image

IMAGE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


def test_one_image_is_told_from_several():
    assert is_single(IMAGE) and is_single(IMAGE.tolist())
    assert not is_single(IMAGE[None]) and not is_single([IMAGE, IMAGE[:1]]) and not is_single([IMAGE.tolist()])
    assert not is_single([])


def test_whole_numbers_of_json_are_bytes():
    read = read_image(IMAGE.tolist(), "the image")
    assert read.dtype == np.uint8
    assert np.array_equal(read, IMAGE)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (IMAGE / 255, "The image holds float64 from 0.0 to 0.09"),
        (IMAGE.astype(int) * 100, "The image holds int64 from 0 to 2300, not levels of 0 to 255"),
        (IMAGE[..., :2], r"The image has the shape \(2, 4, 2\)"),
        (IMAGE[:0], r"The image has the shape \(0, 4, 3\)"),
        ([[[1, 2, 3]], [[1, 2, 3], [4, 5, 6]]], "The image has rows of several lengths"),
        (np.full((2, 2, 3), "a"), "The image holds <U1, not levels"),
    ],
)
def test_what_is_no_image_is_refused_with_what_it_is(given, told):
    with pytest.raises(ValueError, match=f"{told}.*; give RGB images of bytes"):
        read_image(given, "the image")
