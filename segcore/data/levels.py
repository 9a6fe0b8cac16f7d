"""Turns a file's levels, as Pillow has them, into the pixels of an image or the colours and numbers of a mask.

An image of 16 bits a channel is read by the high byte of each level, one of floating-point levels as 0 (black) to 1
(white); a mask's numbers are never scaled, whatever bits they have. Opening files lives in `decoding`.
"""

import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from segcore.errors import DataError

_BAND_PIXELS: Final = 1 << 22
_WHITE_12_BITS: Final = 4095
_LARGEST_VALUE: Final = 65535
_FEW_BITS: Final = re.compile(r"L;([24])")
"""How Pillow calls grey levels of so many bits in a file."""

Pixels = npt.NDArray[np.uint8]


def require_shallow_colours(image: Image.Image, name: str) -> None:
    """Refuse a mask of colours that have 16 bits a channel; the image is not loaded yet.

    Args:
        image: the mask.
        name: of its file.

    Raises:
        DataError: naming the file.
    """
    # Pillow would drop the low byte of each value without a word.
    assert isinstance(image, ImageFile.ImageFile), "it was opened from a file"
    if image.mode in ("RGB", "RGBA") and any(";16" in str(tile.args) for tile in image.tile):
        raise DataError(f"{name}: has colours of 16 bits a channel; save the mask with 8")


def find_spread(image: Image.Image) -> int:
    """Return by how much Pillow multiplies a mask's numbers: it spreads those of 2 and of 4 bits over 0 to 255.

    Args:
        image: the mask, not loaded yet.
    """
    assert isinstance(image, ImageFile.ImageFile), "it was opened from a file"
    found = next((match for tile in image.tile if (match := _FEW_BITS.search(str(tile.args)))), None)
    return 1 if found is None else 255 // (2 ** int(found[1]) - 1)


def to_rgb(image: Image.Image, name: str) -> Pixels:
    """Return an image's RGB pixels (H, W, 3), uint8.

    Args:
        image: of any colour mode, as it lies.
        name: of its file.

    Raises:
        DataError: when nobody can say how bright its levels are.
    """
    if image.mode.startswith("I;16"):
        return _grey_to_rgb(_scale_whole(np.asarray(image), name))
    if image.mode == "F":
        return _grey_to_rgb(_scale_floating(np.asarray(image), name))
    if image.mode == "I":
        raise DataError(f"{name}: has grey levels of 32 bits, of which none is known to be white; save it with 8 or 16")
    return _convert(image)


def _scale_whole(levels_HW: npt.NDArray[np.uint16], name: str) -> Pixels:
    highest = int(levels_HW.max())
    if 0 < highest <= _WHITE_12_BITS:
        raise DataError(
            f"{name}: its highest level is {highest} of 65535, so it would be read as black; if its levels have 12 "
            "bits or fewer, multiply them so that white is 65535, or save it with 8 bits"
        )
    return (levels_HW >> 8).astype(np.uint8)


def _scale_floating(levels_HW: npt.NDArray[np.float32], name: str) -> Pixels:
    lowest, highest = float(levels_HW.min()), float(levels_HW.max())
    if not (lowest >= 0 and highest <= 1):
        raise DataError(
            f"{name}: has floating-point levels from {lowest:g} to {highest:g}; 0 is read as black and 1 as white: "
            "scale them to that"
        )
    return np.rint(levels_HW * 255).astype(np.uint8)


def to_colours(image: Image.Image, name: str) -> Pixels:
    """Return a mask's RGB colours (H, W, 3), uint8, and no value changed.

    Args:
        image: the mask, as it lies.
        name: of its file.

    Raises:
        DataError: when it has values that 8 bits do not hold.
    """
    if not image.mode.startswith("I"):
        if image.mode == "F":
            raise DataError(f"{name}: has floating-point values; save the mask with 8 bits")
        return _convert(image)
    values_HW = np.asarray(image)
    beyond_HW = (values_HW < 0) | (values_HW > 255)
    if beyond_HW.any():
        values, pixels = np.unique(values_HW[beyond_HW], return_counts=True)
        order = np.argsort(-pixels, kind="stable")
        told = ", ".join(f"{values[i]} ({pixels[i]} pixels)" for i in order[:3])
        more = f" and {len(values) - 3} more" if len(values) > 3 else ""
        raise DataError(
            f"{name}: has values that 8 bits do not hold: {told}{more}; save the mask in the colours of its classes"
        )
    return _grey_to_rgb(values_HW.astype(np.uint8))


def to_values(image: Image.Image, name: str, spread: int) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Return a mask's numbers (H, W), uint8 or uint16: grey levels, or places in its palette.

    Args:
        image: the mask, as it lies.
        name: of its file.
        spread: what `find_spread` found before it was loaded.

    Raises:
        DataError: when it has colours, or numbers that are not whole or 16 bits do not hold.
    """
    if image.mode in ("P", "L"):
        levels_HW: Pixels = np.asarray(image)
        return levels_HW if spread == 1 else levels_HW // np.uint8(spread)
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8)
    if image.mode.startswith("I") or image.mode == "F":
        values_HW = np.asarray(image)
        if image.mode == "F" and (values_HW != np.rint(values_HW)).any():
            raise DataError(f"{name}: has numbers that are not whole; save the mask with 8 bits")
        if values_HW.min() < 0 or values_HW.max() > _LARGEST_VALUE:
            raise DataError(
                f"{name}: has numbers from {values_HW.min()} to {values_HW.max()}; a class's is 0 to {_LARGEST_VALUE}"
            )
        return values_HW.astype(np.uint16)
    colours_HW3 = _convert(image)
    if (colours_HW3 != colours_HW3[..., :1]).any():
        raise DataError(f"{name}: has colours, where the masks of this data set hold the numbers of classes")
    return np.ascontiguousarray(colours_HW3[..., 0])


def _grey_to_rgb(grey_HW: Pixels) -> Pixels:
    return np.repeat(grey_HW[..., None], 3, axis=2)


def _convert(image: Image.Image) -> Pixels:
    if image.width * image.height <= _BAND_PIXELS:
        return np.asarray(image.convert("RGB"))
    # By bands, for a copy of a large image in Pillow's four bytes a pixel would double the memory.
    pixels_HW3 = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels_HW3[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)).convert("RGB"))
    return pixels_HW3
