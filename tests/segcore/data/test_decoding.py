import os
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from segcore.data.decoding import (
    DEFAULT_MEGAPIXELS,
    LIMIT_VARIABLE,
    decode_colours,
    decode_rgb,
    decode_values,
    is_blurred_format,
    read_size,
    share_memory,
)
from segcore.errors import ConfigError, DataError

# A wide picture whose four corners differ, 2 x 3 pixels.
CORNERS = np.array([[(255, 0, 0), (9, 9, 9), (0, 255, 0)], [(0, 0, 255), (7, 7, 7), (255, 255, 0)]], np.uint8)


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


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


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_picture_is_turned_upright_and_its_size_with_it(tmp_path, suffix, orientation):
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(CORNERS).save(file, exif=_exif(orientation), lossless=True)
    with Image.open(file) as image:
        expected_HW3 = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    # 6: the camera was turned to the left, so the first row is the left column read from below.
    if orientation == 6:
        assert expected_HW3[0].tolist() == [[0, 0, 255], [255, 0, 0]]
    for decode in (decode_rgb, decode_colours):
        np.testing.assert_array_equal(decode(file), expected_HW3)
    assert read_size(file) == expected_HW3.shape[:2] == ((3, 2) if orientation >= 5 else (2, 3))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize(("orientation", "upright"), [(6, [[4, 1], [5, 2], [6, 3]]), (8, [[3, 6], [2, 5], [1, 4]])])
def test_tiff_of_numbers_that_lies_on_its_side_is_turned_upright(tmp_path, kind, orientation, upright):
    file = tmp_path / "a.tif"
    Image.fromarray(np.array([[1, 2, 3], [4, 5, 6]], kind)).save(file, exif=_exif(orientation))
    assert decode_values(file).tolist() == upright
    assert read_size(file) == (3, 2)


def test_jpeg_of_a_camera_on_its_side_is_turned_upright(tmp_path):
    pixels_HW3 = np.zeros((64, 96, 3), np.uint8)
    pixels_HW3[:, :48] = 255
    Image.fromarray(pixels_HW3).save(tmp_path / "a.jpg", exif=_exif(6))
    upright_HW3 = decode_rgb(tmp_path / "a.jpg")
    assert read_size(tmp_path / "a.jpg") == upright_HW3.shape[:2] == (96, 64)
    assert upright_HW3[:40].min() > 200 and upright_HW3[56:].max() < 50


def test_orientation_behind_the_pixels_of_a_png_is_read(tmp_path):
    file = tmp_path / "a.png"
    Image.fromarray(CORNERS).save(file)
    content = file.read_bytes()
    note = _chunk(b"eXIf", _exif(8).tobytes().removeprefix(b"Exif\x00\x00"))
    file.write_bytes(content[:-12] + note + content[-12:])
    assert read_size(file) == (3, 2)
    assert decode_rgb(file).shape == (3, 2, 3)


def test_notes_that_cannot_be_read_leave_a_picture_as_it_lies(tmp_path):
    Image.fromarray(CORNERS).save(tmp_path / "a.png", exif=b"Exif\x00\x00nonsense")
    np.testing.assert_array_equal(decode_rgb(tmp_path / "a.png"), CORNERS)
    assert read_size(tmp_path / "a.png") == (2, 3)


def test_program_in_a_jpgs_clothes_is_never_started(tmp_path, monkeypatch):
    """Pillow hands an EPS to Ghostscript, whatever the file's name."""
    started = tmp_path / "started"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {started}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    for read in (decode_rgb, decode_colours, read_size):
        with pytest.raises(DataError, match=r"a\.jpg: cannot be decoded \(it is damaged, none of JPEG, PNG, TIFF"):
            read(tmp_path / "a.jpg")
    assert not started.exists()


@pytest.mark.parametrize(
    "fault", [RuntimeError, NotImplementedError, struct.error, SyntaxError, ValueError, IndexError]
)
def test_whatever_a_decoder_raises_names_the_file(tmp_path, monkeypatch, fault):
    Image.fromarray(CORNERS).save(tmp_path / "a.png")

    def fail(image):
        raise fault("broken inside")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    with pytest.raises(DataError, match=r"a\.png: cannot be decoded \(broken inside\)"):
        decode_rgb(tmp_path / "a.png")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:20],
        lambda content: content[:8] + b"\xff" * 40,
        lambda content: content[:16] + struct.pack(">II", 0, 0) + content[24:],
        lambda content: content[:-30],
        lambda content: b"II*\x00" + b"\xff" * 60,
        lambda content: b"BM" + b"\x00" * 60,
        lambda content: b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    ],
)
def test_damaged_file_is_named(tmp_path, change):
    Image.fromarray(CORNERS.repeat(20, axis=0)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(change((tmp_path / "a.png").read_bytes()))
    with pytest.raises(DataError, match=r"^a\.png: "):
        decode_rgb(tmp_path / "a.png")


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


def test_levels_of_12_bits_in_16_are_refused_instead_of_read_as_black(tmp_path):
    Image.fromarray(np.array([[0, 4095]], np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: its highest level is 4095 of 65535.*12 bits.*white is 65535"):
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
    with pytest.raises(DataError, match=r"a\.png: has colours of 16 bits a channel; save the mask with 8"):
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


@pytest.mark.parametrize("suffix", ["tif", "png", "webp"])
def test_file_of_several_pictures_is_refused(tmp_path, suffix):
    other = Image.fromarray(255 - CORNERS)
    Image.fromarray(CORNERS).save(tmp_path / f"a.{suffix}", save_all=True, append_images=[other])
    for read in (decode_rgb, decode_values, read_size):
        with pytest.raises(DataError, match=rf"a\.{suffix}: holds 2 pictures; save the one that is meant"):
            read(tmp_path / f"a.{suffix}")


def test_smaller_page_of_a_tiff_is_no_picture_of_its_own(tmp_path):
    Image.fromarray(CORNERS).save(tmp_path / "a.tif", save_all=True, append_images=[Image.new("RGB", (1, 1))])
    np.testing.assert_array_equal(decode_rgb(tmp_path / "a.tif"), CORNERS)


@pytest.mark.filterwarnings("error")
def test_palette_with_transparent_colours_is_read_without_a_warning(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "a.png", transparency=b"\x00\xff")
    assert decode_colours(tmp_path / "a.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_whole_numbers_of_floating_point_are_numbers_and_others_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 7, 255]], np.float32)).save(tmp_path / "a.tif")
    assert decode_values(tmp_path / "a.tif").tolist() == [[0, 7, 255]]
    for number in (0.5, np.nan, -1, 70000):
        Image.fromarray(np.array([[number]], np.float32)).save(tmp_path / "a.tif")
        with pytest.raises(DataError, match=r"a\.tif: has numbers (that are not whole|from)"):
            decode_values(tmp_path / "a.tif")


def test_content_that_is_jpeg_is_known_whatever_the_name(tmp_path):
    Image.fromarray(CORNERS).save(tmp_path / "a.png", format="JPEG")
    Image.fromarray(CORNERS).save(tmp_path / "b.png")
    assert is_blurred_format(tmp_path / "a.png")
    assert not is_blurred_format(tmp_path / "b.png")
    assert not is_blurred_format(tmp_path / "missing.png")


def test_image_above_the_limit_is_named_with_the_way_round(tmp_path, monkeypatch):
    Image.new("1", (2000, 1000)).save(tmp_path / "a.png")
    monkeypatch.setenv(LIMIT_VARIABLE, "1.5")
    for read in (decode_rgb, decode_colours, read_size):
        with pytest.raises(DataError, match=rf"a\.png: 2000x1000 pixels are 2\.0 megapixels.*{LIMIT_VARIABLE} to 3$"):
            read(tmp_path / "a.png")
    monkeypatch.setenv(LIMIT_VARIABLE, "3")
    assert decode_rgb(tmp_path / "a.png").shape == (1000, 2000, 3)


@pytest.mark.filterwarnings("error")
def test_aerial_image_is_within_the_limit(tmp_path):
    """Pillow warns from 89 megapixels on and refuses 179."""
    assert DEFAULT_MEGAPIXELS == 200
    Image.new("1", (13600, 13600)).save(tmp_path / "a.png")
    assert read_size(tmp_path / "a.png") == (13600, 13600)


@pytest.mark.parametrize("text", ["0", "-1", "many", "inf", "nan"])
def test_limit_that_is_no_number_above_0_is_refused(tmp_path, monkeypatch, text):
    Image.fromarray(CORNERS).save(tmp_path / "a.png")
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    with pytest.raises(ConfigError, match=f"{LIMIT_VARIABLE} is '{text}'"):
        read_size(tmp_path / "a.png")


def test_image_read_by_bands_has_the_same_pixels(tmp_path):
    # 5,000,000 pixels are more than one band; of a palette, so that each band needs it.
    indices_HW = np.random.default_rng(0).integers(0, 3, (2500, 2000), np.uint8)
    image = Image.fromarray(indices_HW, mode="P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "a.png")
    expected = np.array([(10, 20, 30), (40, 50, 60), (70, 80, 90)], np.uint8)[indices_HW]
    np.testing.assert_array_equal(decode_rgb(tmp_path / "a.png"), expected)


def test_file_too_long_for_any_allowed_image_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "1")
    with (tmp_path / "a.png").open("wb") as stream:
        # A hole, not bytes on the disk: 8 bytes for each of a million pixels and 67 MB of notes are allowed.
        stream.truncate(100_000_000)
    with pytest.raises(DataError, match=rf"a\.png: has 100 MB, more than the 75 MB.*{LIMIT_VARIABLE}"):
        decode_rgb(tmp_path / "a.png")


def test_long_notes_of_a_png_are_passed_over(tmp_path):
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("XML:com.adobe.xmp", "x" * 2_000_000, zip=True)
    Image.fromarray(CORNERS).save(tmp_path / "a.png", pnginfo=notes)
    np.testing.assert_array_equal(decode_rgb(tmp_path / "a.png"), CORNERS)
    assert read_size(tmp_path / "a.png") == (2, 3)


@pytest.mark.parametrize("read", [decode_rgb, decode_colours, read_size])
def test_pipe_device_or_folder_is_refused_at_once(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe.png", "device.png", "folder.png"):
        with pytest.raises(DataError, match=f"{name}: is no regular file"):
            read(tmp_path / name)


def test_link_to_an_image_is_read(tmp_path):
    Image.fromarray(CORNERS).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    np.testing.assert_array_equal(decode_rgb(tmp_path / "b.png"), CORNERS)


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


def test_large_images_are_worked_on_one_at_a_time_and_small_ones_together(tmp_path):
    Image.new("1", (4100, 4000)).save(tmp_path / "large.png")
    Image.new("1", (10, 10)).save(tmp_path / "small.png")
    together = threading.Barrier(3)

    def meet(name):
        with share_memory(tmp_path / "small.png", tmp_path / f"{name}.png"):
            try:
                together.wait(10 if name == "small" else 0.2)
            except threading.BrokenBarrierError:
                return False
        return True

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(meet, ["small"] * 3)) == [True] * 3
        # Three would meet; one alone waits in vain, and breaks the barrier for the others.
        assert list(pool.map(meet, ["large"] * 3)) == [False] * 3
