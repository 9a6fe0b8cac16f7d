import os
import struct
import subprocess
import sys
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


def test_pillow_tells_a_user_nothing_of_its_own(tmp_path):
    """A palette with transparent colours, and notes cut short."""
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "a.png", transparency=b"\x00\xff", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff")
    read = "import sys; from pathlib import Path; from segcore.data.decoding import decode_rgb"
    command = [sys.executable, "-c", f"{read}; print(decode_rgb(Path(sys.argv[1])))", tmp_path / "a.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[[[10 20 30]\n  [40 50 60]]]\n", "")


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


@pytest.mark.parametrize("linked", [False, True])
def test_missing_file_and_a_link_that_leads_nowhere_are_called_so(tmp_path, linked):
    if linked:
        (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: there is none in .*, or only a link that leads nowhere; put"):
        decode_rgb(tmp_path / "a.jpg")
