"""Whether a file's compression changes colours at every border, as JPEG's does; WebP and TIFF may have such a one."""

import os
import struct
from pathlib import Path
from typing import Final

from PIL import Image

_JPEG_IN_TIFF: Final = ("jpeg", "tiff_jpeg")
_LOSSY: Final = b"VP8 "
_LOSSLESS: Final = b"VP8L"
_WEBP_HEADER_BYTES: Final = 12


def is_lossy(image: Image.Image, file: Path) -> bool:
    """Say whether an image's colours are not those that were saved.

    Args:
        image: opened from the file.
        file: its file.
    """
    if image.format == "TIFF":
        return image.info.get("compression") in _JPEG_IN_TIFF
    if image.format == "WEBP":
        return _find_webp_kind(file) == _LOSSY
    return image.format in ("JPEG", "MPO")


def _find_webp_kind(file: Path) -> bytes:
    """Return the name of the chunk that has a WebP's pixels; notes and opacity may stand before it."""
    with file.open("rb") as stream:
        stream.seek(_WEBP_HEADER_BYTES)
        while len(head := stream.read(8)) == 8:
            kind, length = struct.unpack("<4sI", head)
            if kind in (_LOSSY, _LOSSLESS):
                return bytes(kind)
            stream.seek(length + length % 2, os.SEEK_CUR)
    return b""
