"""Decodes image and mask files: which formats, and how large a file may be.

A file of several pictures is refused. Which way is up says `orientation`, how levels of any depth become pixels or
numbers `levels`; listing the files of a folder lives in `listing`.
"""

import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from segcore.data.colours import Colour
from segcore.data.levels import (
    WHITE,
    Pixels,
    find_spread,
    has_deep_colours,
    list_palette,
    require_shallow_colours,
    take_places,
    to_colours,
    to_rgb,
    to_values,
)
from segcore.data.lossy import is_lossy
from segcore.data.misread import require_well_read
from segcore.data.opacity import require_one_opacity
from segcore.data.orientation import find_orientation, turn
from segcore.errors import ConfigError, DataError

IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
LIMIT_VARIABLE: Final = "SEGCORE_MAX_MEGAPIXELS"
DEFAULT_MEGAPIXELS: Final = 200.0

# Pillow has decoders that start other programs, and takes a file's content for its format, whatever its name.
_FORMATS: Final = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
_BYTES_PER_PIXEL: Final = 8
_SPARE_BYTES: Final = 64 << 20
_LARGE_PIXELS: Final = 16_000_000
_SUBFILE_KIND: Final = 254
_large_turn: Final = threading.Lock()

# Pillow's own limits cannot be told by a user: the limit of this module stands in their place.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
# Of notes that it cannot read it tells in lines of its own source; whether the pixels can be read is what counts.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def decode_rgb(file: Path) -> Pixels:
    """Decode an image file of any colour mode to upright RGB (H, W, 3), uint8.

    Raises:
        ConfigError: when the limit in the environment is no number above 0.
        DataError: when the file is missing, no regular file, of another format, damaged, cut short, too large, or has
            levels of which nobody can say how bright they are.
    """
    with _open(file) as image:
        deep = has_deep_colours(image)
        image.load()
        return turn(to_rgb(image, file.name, deep=deep), find_orientation(image, file))


def decode_colours(file: Path) -> Pixels:
    """Decode a mask file to its upright RGB colours (H, W, 3), uint8, and no value changed.

    Raises:
        ConfigError: when the limit in the environment is no number above 0.
        DataError: when the file is missing, no regular file, of another format, damaged, cut short, too large, or has
            values that 8 bits do not hold, or one colour in several opacities.
    """
    with _open(file) as image:
        require_shallow_colours(image, file.name)
        image.load()
        require_one_opacity(image, file.name)
        colours = to_colours(image, file.name)
        return turn(colours, find_orientation(image, file))


def decode_values(
    file: Path, *, palette: Sequence[Colour] = (), by_level: bool = False
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Decode a mask file to its upright numbers (H, W), uint8 or uint16: grey levels, or places in its palette.

    A mask of one bit has 0 and 1, of two 0 to 3. One of colours is taken where its three channels are equal.

    Args:
        file: the mask.
        palette: colours that the places of a palette must have; empty: any.
        by_level: whether a palette's grey levels are taken in place of its places.

    Raises:
        ConfigError: when the limit in the environment is no number above 0.
        DataError: when the file is missing, no regular file, of another format, damaged, cut short, too large, has
            colours, another palette, several opacities of one number, or numbers that are not whole or 16 bits do not
            hold.
    """
    with _open(file) as image:
        require_shallow_colours(image, file.name)
        spread = find_spread(image)
        image.load()
        if image.mode == "P":
            places_HW = take_places(image, file.name, palette, by_level=by_level)
            return turn(places_HW, find_orientation(image, file))
        require_one_opacity(image, file.name)
        return turn(to_values(image, file.name, spread), find_orientation(image, file))


def read_mode(file: Path) -> tuple[str, int, tuple[Colour, ...]]:
    """Return a file's colour mode as Pillow names it (`P`: palette, `L`: grey, ...), its spread and palette.

    Returns:
        The mode; by how much numbers of 1, 2 and 4 bits are multiplied where they are shown as grey levels, else 1;
        the palette's colours, if any.

    Raises:
        ConfigError: when the limit in the environment is no number above 0.
        DataError: when the file is missing, no regular file, no image or too large.
    """
    with _open(file) as image:
        spread = WHITE if image.mode == "1" else find_spread(image)
        return image.mode, spread, list_palette(image) if image.mode == "P" else ()


def read_size(file: Path) -> tuple[int, int]:
    """Return upright (height, width) in pixels from an image file's header.

    Raises:
        ConfigError: when the limit in the environment is no number above 0.
        DataError: when the file is missing, no regular file, no image or too large.
    """
    with _open(file) as image:
        size = (image.height, image.width)
        # (width, height) after the image lay on its side.
        return size[::-1] if find_orientation(image, file) >= 5 else size


def read_orientation(file: Path) -> int:
    """Return how a picture lies in its file, 1 (upright) to 8, as EXIF counts.

    Raises:
        ConfigError: when the limit in the environment is no number above 0.
        DataError: when the file is missing, no regular file, no image or too large.
    """
    with _open(file) as image:
        return find_orientation(image, file)


def is_blurred_format(file: Path) -> bool:
    """Say whether a file's content is JPEG, or compressed like it, which changes colours at every border."""
    try:
        with _open(file) as image:
            return is_lossy(image, file)
    except DataError:
        return False


@contextmanager
def share_memory(*files: Path) -> Iterator[None]:
    """Hold the turn of large images while working on one, so that threads have one in memory at a time."""
    with _large_turn if any(_is_large(file) for file in files) else nullcontext():
        yield


def require_regular(file: Path) -> None:
    """Refuse a pipe, a device or a folder, which would be read for ever or not at all.

    Raises:
        DataError: naming the file.
        OSError: when the file is missing or may not be looked at.
    """
    if not stat.S_ISREG(file.stat().st_mode):
        raise DataError(f"{file.name}: is no regular file, or a link to none; put a copy of the picture in its place")


def read_limit() -> float:
    """Return how many megapixels an image may have.

    Raises:
        ConfigError: when the environment names no number above 0.
    """
    text = os.environ.get(LIMIT_VARIABLE, "")
    with suppress(ValueError):
        limit = float(text or DEFAULT_MEGAPIXELS)
        if 0 < limit < float("inf"):
            return limit
    raise ConfigError(f"{LIMIT_VARIABLE} is {text!r}; it takes a number of megapixels above 0, such as 400.")


@contextmanager
def _open(file: Path) -> Iterator[Image.Image]:
    limit = read_limit()
    try:
        require_regular(file)
        _require_bytes(file, limit)
        # Of a name Pillow would map the file into memory, where it confuses the sides of a TIFF that lies on one.
        with file.open("rb") as stream, Image.open(stream, formats=_FORMATS) as image:
            _require_pixels(image, file.name, limit)
            _require_alone(image, file.name)
            require_well_read(image, file.name)
            yield image
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            f"{file.name}: cannot be decoded (it is damaged, none of JPEG, PNG, TIFF, BMP and WebP, or has more "
            "channels or other numbers than pictures have); save it anew, as a PNG of 8 bits"
        ) from error
    except FileNotFoundError as error:
        raise DataError(
            f"{file.name}: there is none in {file.parent}, or only a link that leads nowhere; put the file there, or "
            "take out what names it"
        ) from error
    # Decoders raise what they like.
    except Exception as error:
        raise DataError(
            f"{file.name}: cannot be decoded ({_first_line(error)}); copy it again, or save it anew"
        ) from error


def _require_bytes(file: Path, limit: float) -> None:
    found_bytes, most_bytes = file.stat().st_size, limit * 1e6 * _BYTES_PER_PIXEL + _SPARE_BYTES
    if found_bytes > most_bytes:
        raise DataError(
            f"{file.name}: has {found_bytes / 1e6:.0f} MB, more than the {most_bytes / 1e6:.0f} MB of the largest "
            f"image of {limit:g} megapixels; make it smaller, or raise {LIMIT_VARIABLE}"
        )


def _require_pixels(image: Image.Image, name: str, limit: float) -> None:
    megapixels = image.width * image.height / 1e6
    if megapixels > limit:
        raise DataError(
            f"{name}: {image.width}x{image.height} pixels are {megapixels:.1f} megapixels, and at most {limit:g} are "
            f"read; make it smaller, or set the environment's {LIMIT_VARIABLE} to {int(megapixels) + 1}"
        )


def _require_alone(image: Image.Image, name: str) -> None:
    frames = getattr(image, "n_frames", 1)
    # A phone's JPEG has depths beside its picture, and a TIFF may have the same picture made smaller.
    if image.format == "MPO" or (isinstance(image, TiffImageFile) and not _has_equal_page(image, frames)):
        return
    if frames > 1:
        raise DataError(f"{name}: holds {frames} pictures; save the one that is meant in a file of its own")


def _has_equal_page(image: TiffImageFile, frames: int) -> bool:
    size = image.size
    try:
        for frame in range(1, frames):
            image.seek(frame)
            if image.size == size and not image.tag_v2.get(_SUBFILE_KIND):
                return True
        return False
    finally:
        image.seek(0)


def _is_large(file: Path) -> bool:
    try:
        height, width = read_size(file)
    except DataError:
        return False
    return height * width > _LARGE_PIXELS


def _first_line(error: Exception) -> str:
    text = re.sub(r" ?<_io.\w+ [^>]*>", " the file", str(error) or type(error).__name__)
    return text.splitlines()[0]
