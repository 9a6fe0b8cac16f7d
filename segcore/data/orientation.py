"""Which way is up: the EXIF orientation of a picture, and its pixels turned by it."""

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

_PNG_NOTES: Final = frozenset({b"eXIf", b"iTXt", b"tEXt", b"zTXt"})

_Level = TypeVar("_Level", bound=np.unsignedinteger[Any])


def find_orientation(image: Image.Image, file: Path) -> int:
    """Return how a picture lies in its file, 1 (upright) to 8, as EXIF counts.

    Args:
        image: from that file.
        file: where it lies.
    """
    # Pillow turns a TIFF by itself, its size included.
    if image.format == "TIFF":
        return 1
    if image.format == "PNG" and _has_late_notes(file):
        image.load()
    # A picture whose notes cannot be read is shown as it lies, by every viewer.
    with suppress(Exception):
        # The method of PNG would decode every pixel to look for notes behind them.
        found = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
        return found if isinstance(found, int) and 1 <= found <= 8 else 1
    return 1


def turn(pixels: npt.NDArray[_Level], orientation: int) -> npt.NDArray[_Level]:
    """Return pixels (H, W, ...) upright that lie by an orientation, 1 to 8."""
    if orientation == 1:
        return pixels
    # 5 to 8 lie on their side.
    upright = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    return np.ascontiguousarray(upright)


def _has_late_notes(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(8)
        behind_pixels = False
        while len(head := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if behind_pixels and kind in _PNG_NOTES:
                return True
            behind_pixels |= kind == b"IDAT"
            stream.seek(length + 4, os.SEEK_CUR)
    return False
