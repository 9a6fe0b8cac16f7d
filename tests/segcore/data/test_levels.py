"""Levels of any depth, as images and as masks, in files as people have them."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from segcore.data.decoding import decode_colours, decode_rgb, decode_values
from segcore.errors import DataError


def _chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _save_16_bit_rgb(file, pixels_HW3):
    _save_png(file, [row.astype(">u2").tobytes() for row in pixels_HW3], pixels_HW3.shape[1], bits=16, colour=2)


def _save_png(file, rows, width, *, bits, colour):
    """A PNG of a form that Pillow cannot write."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\x00" + row for row in rows))
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_levels_of_16_bits_are_read_by_their_high_byte(tmp_path, suffix):
    levels_HW = np.array([[0, 255, 256], [32768, 65279, 65535]], np.uint16)
    Image.fromarray(levels_HW).save(tmp_path / f"a.{suffix}")
    assert decode_rgb(tmp_path / f"a.{suffix}").tolist() == [
        [[0] * 3, [0] * 3, [1] * 3],
        [[128] * 3, [254] * 3, [255] * 3],
    ]


def test_colours_of_16_bits_are_read_by_their_high_byte(tmp_path):
    _save_16_bit_rgb(tmp_path / "a.png", np.array([[(65535, 256, 255)]]))
    assert decode_rgb(tmp_path / "a.png").tolist() == [[[255, 1, 0]]]


@pytest.mark.parametrize("level", [255, 4095])
def test_colours_of_few_bits_in_16_are_refused_instead_of_read_as_black(tmp_path, level):
    _save_16_bit_rgb(tmp_path / "a.png", np.array([[(0, level, 0)]]))
    with pytest.raises(DataError, match=rf"a\.png: its highest level is at most {level} of 65535"):
        decode_rgb(tmp_path / "a.png")
    _save_16_bit_rgb(tmp_path / "a.png", np.array([[(0, 4096, 0)]]))
    assert decode_rgb(tmp_path / "a.png").tolist() == [[[0, 16, 0]]]


def test_levels_of_12_bits_in_16_are_refused_instead_of_read_as_black(tmp_path):
    Image.fromarray(np.array([[0, 4095]], np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: its highest level is at most 4095 of 65535.*12 bits.*white is 65535"):
        decode_rgb(tmp_path / "a.png")
    Image.fromarray(np.array([[0, 4096]], np.uint16)).save(tmp_path / "a.png")
    assert decode_rgb(tmp_path / "a.png")[0, 1].tolist() == [16, 16, 16]
    Image.fromarray(np.zeros((1, 2), np.uint16)).save(tmp_path / "a.png")
    assert decode_rgb(tmp_path / "a.png").max() == 0


def test_floating_point_levels_reach_from_black_at_0_to_white_at_1(tmp_path):
    Image.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(tmp_path / "a.tif")
    # 0.5 * 255 = 127.5, rounded to the even 128.
    assert decode_rgb(tmp_path / "a.tif").tolist() == [[[0] * 3, [128] * 3, [255] * 3]]


@pytest.mark.parametrize("levels", [[0, 255], [-0.1, 1], [0, float("nan")]])
def test_floating_point_levels_of_another_range_are_refused(tmp_path, levels):
    Image.fromarray(np.array([levels], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif: has floating-point levels from .*scale them"):
        decode_rgb(tmp_path / "a.tif")


def test_levels_of_32_bits_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 70000]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif: has grey levels of 32 bits"):
        decode_rgb(tmp_path / "a.tif")


def test_mask_of_16_bits_for_three_channels_has_colours(tmp_path):
    # Red has its highest five bits, which Pillow makes 255.
    head = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 16, 3, 4, 0, 0, 0, 0) + struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 70, 0, 0, 66) + head + struct.pack("<HH", 0xF800, 0))
    assert decode_colours(tmp_path / "a.bmp").tolist() == [[[255, 0, 0]]]


def test_mask_values_beyond_8_bits_are_named_most_frequent_first(tmp_path):
    values_HW = np.array([[26000, 7, 26001], [300, 26001, 26001], [400, 7, 300]], np.uint16)
    Image.fromarray(values_HW).save(tmp_path / "a.png")
    with pytest.raises(DataError) as caught:
        decode_colours(tmp_path / "a.png")
    assert str(caught.value) == (
        "a.png: has values that 8 bits do not hold: 26001 (3 pixels), 300 (2 pixels), 400 (1 pixels) and 1 more; "
        "save the mask in the colours of its classes"
    )


def test_mask_of_16_bits_with_small_values_is_read_as_it_is(tmp_path):
    Image.fromarray(np.array([[0, 7, 255]], np.uint16)).save(tmp_path / "a.png")
    assert decode_colours(tmp_path / "a.png").tolist() == [[[0] * 3, [7] * 3, [255] * 3]]


def test_mask_of_colours_of_16_bits_or_of_floating_point_is_refused(tmp_path):
    # Read by its high byte, this blue would be black.
    _save_16_bit_rgb(tmp_path / "a.png", np.array([[(0, 0, 255)]]))
    with pytest.raises(DataError, match=r"a\.png: has colours of 16 bits a channel; take masks of 8 bits"):
        decode_colours(tmp_path / "a.png")
    Image.fromarray(np.array([[0.5]], np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(DataError, match=r"b\.tif: has floating-point values"):
        decode_colours(tmp_path / "b.tif")


@pytest.mark.parametrize(
    ("bits", "row", "numbers"),
    [(1, b"\x60", [0, 1, 1, 0]), (2, b"\x1b", [0, 1, 2, 3]), (4, b"\x01\x2f", [0, 1, 2, 15])],
)
def test_numbers_of_few_bits_are_as_the_file_has_them(tmp_path, bits, row, numbers):
    """As levels they are spread over 0 to 255, where 3 of two bits would be void."""
    _save_png(tmp_path / "a.png", [row], 4, bits=bits, colour=0)
    assert decode_values(tmp_path / "a.png").tolist() == [numbers]
    assert decode_rgb(tmp_path / "a.png")[0, :, 0].tolist() == [number * 255 // (2**bits - 1) for number in numbers]


def test_whole_numbers_of_floating_point_are_numbers_and_others_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 7, 255]], np.float32)).save(tmp_path / "a.tif")
    assert decode_values(tmp_path / "a.tif").tolist() == [[0, 7, 255]]
    for number in (0.5, np.nan, -1, 70000):
        Image.fromarray(np.array([[number]], np.float32)).save(tmp_path / "a.tif")
        with pytest.raises(DataError, match=r"a\.tif: has numbers (that are not whole|from)"):
            decode_values(tmp_path / "a.tif")


def test_image_read_by_bands_has_the_same_pixels(tmp_path):
    # 5,000,000 pixels are more than one band; of a palette, so that each band needs it.
    indices_HW = np.random.default_rng(0).integers(0, 3, (2500, 2000), np.uint8)
    image = Image.fromarray(indices_HW, mode="P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "a.png")
    expected = np.array([(10, 20, 30), (40, 50, 60), (70, 80, 90)], np.uint8)[indices_HW]
    np.testing.assert_array_equal(decode_rgb(tmp_path / "a.png"), expected)


def test_both_orders_of_bytes_of_16_bits_are_read(tmp_path):
    levels_HW = np.array([[0, 65280]], np.uint16)
    for name, prefix in (("little.tif", b"II"), ("big.tif", b"MM")):
        entries = [
            (256, 4, 2),
            (257, 4, 1),
            (258, 3, 16),
            (259, 3, 1),
            (262, 3, 1),
            (273, 4, 200),
            (278, 4, 1),
            (279, 4, 4),
        ]
        order = "<" if prefix == b"II" else ">"
        content = prefix + struct.pack(f"{order}HI", 42, 8) + struct.pack(f"{order}H", len(entries))
        for tag, kind, value in entries:
            content += struct.pack(f"{order}HHI", tag, kind, 1)
            content += struct.pack(f"{order}I", value) if kind == 4 else struct.pack(f"{order}HH", value, 0)
        content = content.ljust(200, b"\x00") + levels_HW.astype(f"{order}u2").tobytes()
        (tmp_path / name).write_bytes(content)
        assert decode_rgb(tmp_path / name)[0, :, 0].tolist() == [0, 255]


def _save_white_zero(file, levels_HW, bits):
    """Write a TIFF in which 0 is white."""
    raw = levels_HW.astype("<u2" if bits == 16 else np.uint8).tobytes()
    height, width = levels_HW.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 0, 273: 8, 277: 1, 278: height, 279: len(raw)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    file.write_bytes(
        struct.pack("<2sHI", b"II", 42, 8 + len(raw)) + raw + struct.pack("<H", len(tags)) + entries + bytes(4)
    )


@pytest.mark.parametrize("bits", [8, 16])
def test_image_in_which_0_is_white_is_not_read_as_its_negative(tmp_path, bits):
    white = 2**bits - 1
    _save_white_zero(tmp_path / "a.tif", np.array([[0, white // 4, white]]), bits)
    assert decode_rgb(tmp_path / "a.tif")[0, :, 0].tolist() == [255, 192, 0]


@pytest.mark.parametrize("bits", [8, 16])
def test_mask_in_which_0_is_white_is_refused(tmp_path, bits):
    """Its class 0 would be 255, void, or not, by the bits that it has."""
    _save_white_zero(tmp_path / "a.tif", np.array([[0, 1, 2]]), bits)
    with pytest.raises(DataError, match=r"a\.tif: is a TIFF in which 0 is white"):
        decode_values(tmp_path / "a.tif")


def test_black_and_white_mask_in_which_0_is_white_is_read_as_it_is_shown(tmp_path):
    marked_HW = np.array([[True, False, True]])
    Image.fromarray(marked_HW).save(tmp_path / "a.tif", compression="group4", tiffinfo={262: 0})
    assert decode_values(tmp_path / "a.tif").tolist() == marked_HW.astype(int).tolist()
