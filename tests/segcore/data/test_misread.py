import struct

import numpy as np
import pytest
from PIL import Image

from segcore.data.decoding import decode_colours, decode_rgb, decode_values, read_size
from segcore.errors import DataError


def _save_planes(file, planes, bits):
    """Write a TIFF whose three channels lie one after the other, not compressed."""
    (height, width), data = planes[0].shape, b"".join(plane.tobytes() for plane in planes)
    tags = [(256, width), (257, height), (258, None), (259, 1), (262, 2), (273, None), (277, 3), (278, height),
            (279, None), (284, 2)]  # fmt: skip
    start = 8 + 2 + 12 * len(tags) + 4
    three = {258: [bits] * 3, 273: [start + 36 + channel * len(data) // 3 for channel in range(3)],
             279: [len(data) // 3] * 3}  # fmt: skip
    entries, extra = b"", b""
    for tag, value in tags:
        count, place = (3, start + len(extra)) if tag in three else (1, value)
        entries += struct.pack("<HHII", tag, 4, count, place)
        extra += struct.pack("<3I", *three[tag]) if tag in three else b""
    file.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + extra + data)


def test_tiff_whose_channels_of_16_bits_lie_apart_is_refused_instead_of_misread(tmp_path):
    planes = [np.arange(12).reshape(3, 4) + shift for shift in (0, 100, 200)]
    _save_planes(tmp_path / "a.tif", [plane.astype(np.uint8) for plane in planes], 8)
    assert decode_rgb(tmp_path / "a.tif").tolist() == np.stack(planes, axis=2).tolist()
    _save_planes(tmp_path / "b.tif", [(256 * plane).astype("<u2") for plane in planes], 16)
    for decode in (decode_rgb, decode_colours, decode_values):
        with pytest.raises(DataError, match=r"b\.tif: has 16 bits a channel and each channel in a plane of its own"):
            decode(tmp_path / "b.tif")


@pytest.mark.parametrize("width", [1, 31, 32, 33, 100])
def test_bmp_of_one_bit_is_read(tmp_path, width):
    mask_HW = np.arange(2 * width).reshape(2, width) % 3 == 0
    Image.fromarray(mask_HW).save(tmp_path / "a.bmp")
    assert (decode_values(tmp_path / "a.bmp") == mask_HW).all()


def test_bmp_of_black_and_white_in_eight_bits_is_refused_instead_of_misread(tmp_path):
    # What Pillow writes of a mask with such a palette, and reads as other pixels.
    mask = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(5, 12) % 2, mode="P")
    mask.putpalette([0, 0, 0, 255, 255, 255])
    mask.save(tmp_path / "a.bmp")
    for read in (decode_values, decode_colours, decode_rgb, read_size):
        with pytest.raises(DataError, match=r"a\.bmp: is a BMP of black and white that has more bits a pixel than one"):
            read(tmp_path / "a.bmp")
    mask.putpalette([0, 0, 0, 255, 0, 0])
    mask.save(tmp_path / "b.bmp")
    assert decode_values(tmp_path / "b.bmp")[0].tolist() == [0, 1] * 6
