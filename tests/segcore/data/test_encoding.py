import dataclasses

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from PIL import Image

from segcore.data.classes import CONTEST_CLASSES, VOID, ClassTable, count_indices
from segcore.data.colours import choose_colours
from segcore.data.encoding import build_encoding, colour_code, encoding_of
from segcore.errors import DataError


@given(hnp.arrays(np.uint8, (5, 7), elements=st.integers(0, 19)))
def test_mask_painted_in_class_colours_decodes_to_the_classes(indices_HW):
    mask_HW3 = np.array(CONTEST_CLASSES.colours, np.uint8)[indices_HW]
    np.testing.assert_array_equal(encoding_of(CONTEST_CLASSES).decode_pixels(mask_HW3), indices_HW)


def test_void_colour_decodes_to_void(classes):
    mask_HW3 = np.array([[(0, 0, 0), (128, 64, 128), (0, 152, 225)]], np.uint8)
    assert encoding_of(classes).decode_pixels(mask_HW3).tolist() == [[VOID, 0, 3]]


def test_unknown_colours_are_named_with_their_pixels_most_frequent_first(classes):
    mask_HW3 = np.full((2, 4, 3), (0, 0, 255), np.uint8)
    mask_HW3[0, :3] = (1, 2, 3)
    # One step from the car's blue: a lookup by a lossy hash would take it for a car.
    mask_HW3[1, 0] = (0, 1, 254)
    with pytest.raises(DataError) as caught:
        encoding_of(classes).decode_pixels(mask_HW3)
    assert caught.value.problems == (
        "unknown colour (1, 2, 3): 3 pixels; make it a class, or void",
        "unknown colour (0, 1, 254): 1 pixels; make it a class, or void",
    )


def test_list_of_unknown_colours_ends_after_ten(classes):
    mask_HW3 = np.full((1, 13, 3), 7, np.uint8)
    mask_HW3[0, :, 0] = np.arange(13)
    with pytest.raises(DataError) as caught:
        encoding_of(classes).decode_pixels(mask_HW3)
    # 13 colours (0, 7, 7) ... (12, 7, 7): ten lines and one for the other three.
    assert len(caught.value.problems) == 11
    assert caught.value.problems[-1] == "and 3 more unknown colours"


def test_soft_borders_are_named_as_such_with_their_share(classes):
    mask_HW3 = np.full((10, 100, 3), (0, 0, 255), np.uint8)
    # Twelve mixtures of red and blue on 24 of 1000 pixels.
    mask_HW3[0, :24, 0] = np.arange(24) // 2 + 1
    with pytest.raises(DataError) as caught:
        encoding_of(classes).decode_pixels(mask_HW3)
    (problem,) = caught.value.problems
    assert problem.startswith(
        "soft borders: 12 colours that are in no class on 2.40% of the pixels (24), "
        "such as (1, 0, 255), (2, 0, 255), (3, 0, 255); "
    )
    assert problem.endswith("save it as PNG")


def test_more_colours_than_a_table_can_have_are_soft_borders_whatever_their_share(classes):
    mask_HW3 = np.full((1, 255, 3), 7, np.uint8)
    mask_HW3[0, :, 0] = np.arange(255)
    with pytest.raises(DataError, match=r"soft borders: 255 colours .* 100\.00%"):
        encoding_of(classes).decode_pixels(mask_HW3)


def test_mask_decoded_by_bands_has_the_same_indices_and_counts(classes):
    # 2500 x 2000 are more than one band.
    expected_HW = np.random.default_rng(0).integers(0, 4, (2500, 2000), np.uint8)
    indices_HW = encoding_of(classes).decode_pixels(classes.palette_N3[expected_HW])
    np.testing.assert_array_equal(indices_HW, expected_HW)
    np.testing.assert_array_equal(count_indices(indices_HW), np.bincount(expected_HW.ravel(), minlength=256))
    unknown_HW3 = np.full((2500, 2000, 3), 7, np.uint8)
    with pytest.raises(DataError, match=r"unknown colour \(7, 7, 7\): 5000000 pixels"):
        encoding_of(classes).decode_pixels(unknown_HW3)


def _numbered(count, first=0):
    names = tuple(f"class {number}" for number in range(count))
    return ClassTable(names=names, colours=choose_colours(count), scored=names, ids=tuple(range(first, first + count)))


def test_numbers_decode_to_the_classes_that_have_them_and_255_to_void():
    encoding = encoding_of(_numbered(3, first=10))
    assert encoding.kind == "index"
    numbers_HW = np.array([[10, 11], [12, 255]], np.uint8)
    assert encoding.decode_pixels(numbers_HW).tolist() == [[0, 1], [2, VOID]]


def test_255_is_a_class_where_the_table_says_so():
    assert encoding_of(_numbered(2, first=254)).decode_pixels(np.array([[254, 255]], np.uint8)).tolist() == [[0, 1]]


def test_numbers_of_16_bits_decode_and_unknown_ones_are_named_whole():
    encoding = encoding_of(_numbered(2, first=26000))
    assert encoding.decode_pixels(np.array([[26000, 26001]], np.uint16)).tolist() == [[0, 1]]
    with pytest.raises(DataError) as caught:
        encoding.decode_pixels(np.array([[26000, 65535, 65535, 144]], np.uint16))
    # The low byte of 26000 is 144.
    assert caught.value.problems == (
        "unknown number 65535: 2 pixels; make it a class, or void",
        "unknown number 144: 1 pixels; make it a class, or void",
    )


def test_254_classes_are_told_apart():
    numbers_HW = np.arange(256, dtype=np.uint8)[None]
    with pytest.raises(DataError, match="unknown number 254: 1 pixels"):
        encoding_of(_numbered(254)).decode_pixels(numbers_HW)
    numbers_HW[0, 254] = 0
    decoded = encoding_of(_numbered(254)).decode_pixels(numbers_HW)
    assert decoded[0, :254].tolist() == list(range(254)) and decoded[0, 254:].tolist() == [0, VOID]


def test_several_codes_may_mean_one_class_or_void():
    encoding = build_encoding("index", {7: 0, 3: 1, 4: 1, 0: VOID})
    assert encoding.index_of == ((0, VOID), (3, 1), (4, 1), (7, 0))
    assert encoding.decode_pixels(np.array([[7, 3, 4, 0]], np.uint8)).tolist() == [[0, 1, 1, VOID]]
    red = build_encoding("rgb", {colour_code((255, 0, 0)): 1, colour_code((254, 0, 0)): 1, 0: 0})
    assert red.decode_pixels(np.array([[(254, 0, 0), (0, 0, 0)]], np.uint8)).tolist() == [[1, 0]]


def test_codes_are_counted_over_all_pixels_or_the_chosen():
    encoding = build_encoding("index", {})
    numbers_HW = np.array([[0, 300, 300], [2, 2, 2]], np.uint16)
    assert encoding.count_codes(numbers_HW) == {0: 1, 300: 2, 2: 3}
    assert encoding.count_codes(numbers_HW, numbers_HW == 300) == {300: 2}
    colours_HW3 = np.array([[(1, 2, 3), (1, 2, 3), (0, 0, 0)]], np.uint8)
    counts = build_encoding("rgb", {}).count_codes(colours_HW3)
    assert counts == {0x010203: 2, 0: 1}
    assert build_encoding("rgb", {}).name_code(0x010203) == "(1, 2, 3)"
    assert encoding.name_code(300) == "300"


def test_numbers_in_files_of_any_form_are_the_same(tmp_path):
    numbers_HW = np.array([[0, 1, 1], [1, 0, 255]], np.uint8)
    palette = Image.fromarray(numbers_HW).convert("P")
    palette.putdata(numbers_HW.ravel().tolist())
    palette.putpalette([part for place in range(256) for part in (place, 7, 7)])
    images = {
        "grey.png": Image.fromarray(numbers_HW),
        "palette.png": palette,
        "deep.png": Image.fromarray(numbers_HW.astype(np.uint16)),
        "three channels.png": Image.fromarray(np.repeat(numbers_HW[..., None], 3, axis=2)),
        "grey.tif": Image.fromarray(numbers_HW),
        "grey.bmp": Image.fromarray(numbers_HW),
    }
    encoding = encoding_of(_numbered(2))
    for name, image in images.items():
        image.save(tmp_path / name)
        assert encoding.decode(tmp_path / name).tolist() == numbers_HW.tolist(), name


def test_colours_where_numbers_are_expected_are_refused_by_name(tmp_path):
    Image.fromarray(np.array([[(1, 2, 3)]], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: has colours, where the masks of this data set hold the numbers"):
        encoding_of(_numbered(2)).decode(tmp_path / "a.png")


def test_file_of_unknown_numbers_is_named_with_each(tmp_path):
    Image.fromarray(np.array([[0, 1, 9, 9]], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError) as caught:
        encoding_of(_numbered(2)).decode(tmp_path / "a.png")
    assert caught.value.problems == ("a.png: unknown number 9: 2 pixels; make it a class, or void",)


def test_mask_that_jpeg_has_changed_is_named_as_such(tmp_path, classes):
    random = np.random.default_rng(0)
    Image.fromarray(classes.palette_N3[random.integers(0, 4, (32, 32))]).save(tmp_path / "a.jpg", quality=50)
    with pytest.raises(DataError) as caught:
        encoding_of(classes).decode(tmp_path / "a.jpg")
    assert caught.value.problems[-1].startswith("a.jpg: its content is JPEG, or compressed like it, which changes")


def test_of_a_jpeg_no_mixture_is_told_to_be_made_a_class(tmp_path):
    """Between 0 and 200 there are far more than two."""
    mask_HW = np.zeros((32, 32), np.uint8)
    mask_HW[11:, 5:] = 200
    Image.fromarray(mask_HW).save(tmp_path / "a.jpg", quality=90)
    with pytest.raises(DataError) as caught:
        encoding_of(_numbered(2)).decode(tmp_path / "a.jpg")
    assert [problem.split(",")[0] for problem in caught.value.problems] == ["a.jpg: its content is JPEG"]


@pytest.mark.parametrize(("suffix", "options"), [(".jpg", {"quality": 95}), (".webp", {"quality": 90})])
def test_numbers_that_compression_mixed_are_refused_though_each_is_a_class(tmp_path, suffix, options):
    """Between 0 and 3 it puts a seam of 1 and 2."""
    mask_HW = np.zeros((32, 32), np.uint8)
    mask_HW[11:, 5:] = 3
    file = tmp_path / f"a{suffix}"
    Image.fromarray(mask_HW).convert("RGB" if suffix == ".webp" else "L").save(file, **options)
    with pytest.raises(DataError) as caught:
        encoding_of(_numbered(9)).decode(file)
    assert [problem.split(",")[0] for problem in caught.value.problems] == [f"{file.name}: its content is JPEG"]


def test_two_numbers_of_a_jpeg_are_read(tmp_path):
    mask_HW = np.zeros((16, 16), np.uint8)
    mask_HW[8:] = 200
    Image.fromarray(mask_HW).save(tmp_path / "a.jpg", quality=100)
    encoding = build_encoding("index", {0: 0, 200: 1})
    assert encoding.decode(tmp_path / "a.jpg")[::8, 0].tolist() == [0, 1]


def test_minus_one_in_16_bits_is_no_number_of_an_object():
    with pytest.raises(DataError) as caught:
        encoding_of(_numbered(2)).decode_pixels(np.array([[0, 65535]], np.uint16))
    assert caught.value.problems == ("unknown number 65535: 1 pixels; make it a class, or void",)


def test_numbers_of_objects_are_no_soft_borders(classes):
    encoding = encoding_of(dataclasses.replace(classes, ids=(0, 1, 2, 3)))
    mask_HW = np.zeros((10, 100), np.uint16)
    mask_HW[0, :24] = 26000 + np.arange(24)
    with pytest.raises(DataError) as caught:
        encoding.decode_pixels(mask_HW)
    assert caught.value.problems[0] == "unknown number 26000: 1 pixels"
    assert caught.value.problems[-2:] == (
        "and 14 more unknown numbers",
        "numbers above 255 are often those of objects: take the masks that hold classes",
    )
