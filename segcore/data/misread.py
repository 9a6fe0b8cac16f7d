"""Files that Pillow reads without a word, and not as they are: refused, before a picture is made of them.

    TIFF, 16 bits a channel, uncompressed, each channel in a plane of its own      each byte becomes a pixel
    BMP, 8 or 4 bits a pixel, whose palette is black and white alone               each bit becomes a pixel

How levels become pixels says `levels`.
"""

from typing import Any, Final

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.TiffImagePlugin import TiffImageFile

from segcore.errors import DataError

_BITS: Final = 258
_PLANES: Final = 284
"""Where a TIFF says how channels lie: one after the other where this is 2."""
_BITS_OF_A_LINE: Final = 32
"""A BMP's lines are filled up to a multiple of so many."""


def require_well_read(image: Image.Image, name: str) -> None:
    """Refuse a file that Pillow would misread.

    Args:
        image: not loaded yet.
        name: of its file.

    Raises:
        DataError: naming the file.
    """
    assert isinstance(image, ImageFile.ImageFile), "it was opened from a file"
    raw = [tile for tile in image.tile if tile.codec_name == "raw"]
    if isinstance(image, TiffImageFile) and raw and _has_deep_planes(image):
        raise DataError(
            f"{name}: has 16 bits a channel and each channel in a plane of its own, which cannot be read; save it with "
            "its channels together (in GDAL INTERLEAVE=PIXEL), or as PNG"
        )
    if isinstance(image, BmpImageFile) and any(_has_wide_bits(tile.args, image.width) for tile in raw):
        raise DataError(
            f"{name}: is a BMP of black and white that has more bits a pixel than one, which cannot be read; save it "
            "as PNG"
        )


def _has_deep_planes(image: TiffImageFile) -> bool:
    tags = image.tag_v2
    return tags.get(_PLANES) == 2 and len(image.getbands()) > 1 and max(tags.get(_BITS, (1,))) > 8


def _has_wide_bits(args: Any, width: int) -> bool:
    """Say whether lines are longer than those of one bit a pixel, as which they are read, given mode and bytes."""
    bits, line = args[:2]
    return bits == "1" and int(line) != -(-width // _BITS_OF_A_LINE) * _BITS_OF_A_LINE // 8
