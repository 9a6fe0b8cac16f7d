import numpy as np
import pytest
from mlflow.exceptions import MlflowException

from search.tracking.served import ServedEnsemble, is_single, read_image

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
        (IMAGE.astype(int) * 100, "The image holds int64 from 0 to 2300, not whole levels of 0 to 255"),
        (IMAGE[..., :2], r"The image has the shape \(2, 4, 2\)"),
        (IMAGE[:0], r"The image has the shape \(0, 4, 3\)"),
        ([[[1, 2, 3]], [[1, 2, 3], [4, 5, 6]]], "The image has rows of several lengths"),
        (np.full((2, 2, 3), "a"), "The image holds <U1, not whole levels"),
    ],
)
def test_what_is_no_image_is_refused_with_what_it_is(given, told):
    with pytest.raises(ValueError, match=f"{told}.*; give RGB images of bytes"):
        read_image(given, "the image")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "What came is no image but of the type NoneType"),
        ({"a": [1]}, "What came is no image but of the type dict"),
        (np.array("a.jpg"), "There is no image"),
        ([], "There is no image"),
        ([[[1, 2, 3], [4, 5]]], "Image 0 has rows of several lengths"),
        (IMAGE[..., 0], r"The image has the shape \(2, 4\)"),
    ],
)
def test_clients_of_a_server_are_told_what_is_no_image(given, told):
    """MLflow answers any other exception with words of its own, and this one with its message and status 400."""
    with pytest.raises(MlflowException, match=f"{told}; give RGB images of bytes") as refused:
        ServedEnsemble().predict(None, given)
    assert refused.value.get_http_status_code() == 400
