"""Turns a file's levels, as Pillow has them, into the pixels of an image or the colours and numbers of a mask.

An image of 16 bits a channel is read by the high byte of each level, one of floating-point levels as 0 (black) to 1
(white); a mask's numbers are never scaled, whatever bits they have. Opening files lives in `decoding`.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from segcore.data.colours import Colour
from segcore.errors import DataError

WHITE: Final = 255
"""Grey level of white in 8 bits."""
_BAND_PIXELS: Final = 1 << 22
_WHITE_12_BITS: Final = 4095
_LARGEST_VALUE: Final = 65535
_PHOTOMETRIC: Final = 262
"""Where a TIFF says what its levels are: 0 is white in those where this is 0."""
_DEEP: Final = re.compile(r";16[BLN]")
"""How Pillow calls channels of 16 bits; 16 bits for all three it calls ;16."""
_FEW_BITS: Final = re.compile(r"L;([24])")
"""How Pillow calls grey levels of so many bits in a file."""

Pixels = npt.NDArray[np.uint8]


def has_deep_colours(image: Image.Image) -> bool:
    """Say whether colours have 16 bits a channel, of which Pillow keeps the high byte without a word.

    Args:
        image: of any colour mode, not loaded yet.
    """
    assert isinstance(image, ImageFile.ImageFile), "it was opened from a file"
    return image.mode in ("RGB", "RGBA") and any(_DEEP.search(str(tile.args)) for tile in image.tile)


def require_shallow_colours(image: Image.Image, name: str) -> None:
    """Refuse a mask of colours that have 16 bits a channel.

    Args:
        image: the mask, not loaded yet.
        name: of its file.

    Raises:
        DataError: naming the file.
    """
    if has_deep_colours(image):
        raise DataError(
            f"{name}: has colours of 16 bits a channel; take masks of 8 bits, as SYNTHIA's GT/COLOR. Where red is the "
            "number of the class, as in its GT/LABELS, write that channel alone as PNG"
        )


def find_spread(image: Image.Image) -> int:
    """Return by how much Pillow multiplies a mask's numbers: it spreads those of 2 and of 4 bits over 0 to 255.

    Args:
        image: the mask, not loaded yet.
    """
    assert isinstance(image, ImageFile.ImageFile), "it was opened from a file"
    found = next((match for tile in image.tile if (match := _FEW_BITS.search(str(tile.args)))), None)
    return 1 if found is None else WHITE // (2 ** int(found[1]) - 1)


def to_rgb(image: Image.Image, name: str, *, deep: bool) -> Pixels:
    """Return an image's RGB pixels (H, W, 3), uint8.

    Args:
        image: of any colour mode, as it lies.
        name: of its file.
        deep: what `has_deep_colours` found before it was loaded.

    Raises:
        DataError: when nobody can say how bright its levels are.
    """
    if image.mode.startswith("I;16"):
        levels_HW = np.asarray(image)
        # Of 8 bits and fewer Pillow turns them itself.
        return _grey_to_rgb(_scale_whole(_LARGEST_VALUE - levels_HW if _is_white_zero(image) else levels_HW, name))
    if image.mode == "F":
        return _grey_to_rgb(_scale_floating(np.asarray(image), name))
    if image.mode == "I":
        raise DataError(f"{name}: has grey levels of 32 bits, of which none is known to be white; save it with 8 or 16")
    pixels_HW3 = _convert(image)
    if deep:
        # Of the low bytes nothing is known: levels of 8 bits in 16 are all black here.
        _require_light(int(pixels_HW3.max()) << 8 | 255, name)
    return pixels_HW3


def _is_white_zero(image: Image.Image) -> bool:
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0


def _scale_whole(levels_HW: npt.NDArray[np.uint16], name: str) -> Pixels:
    _require_light(int(levels_HW.max()), name)
    return (levels_HW >> 8).astype(np.uint8)


def _require_light(highest: int, name: str) -> None:
    if 0 < highest <= _WHITE_12_BITS:
        raise DataError(
            f"{name}: its highest level is at most {highest} of 65535, so it would be read as black; if its levels "
            "have 12 bits or fewer, multiply them so that white is 65535, or save it with 8 bits"
        )


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
    """Return the numbers (H, W), uint8 or uint16, of a mask without a palette: its grey levels.

    Args:
        image: the mask, as it lies.
        name: of its file.
        spread: what `find_spread` found before it was loaded.

    Raises:
        DataError: when it has colours, numbers that are not whole or 16 bits do not hold, or none that can be known.
    """
    if image.mode != "1" and _is_white_zero(image):
        raise DataError(
            f"{name}: is a TIFF in which 0 is white, so whether its numbers or their reverse are meant nobody can "
            "tell; save the mask as PNG"
        )
    if image.mode == "L":
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
                f"{name}: has numbers from {values_HW.min()} to {values_HW.max()}; a class's is 0 to {_LARGEST_VALUE}: "
                "write 255 for what counts nowhere"
            )
        return values_HW.astype(np.uint16)
    colours_HW3 = _convert(image)
    if (colours_HW3 != colours_HW3[..., :1]).any():
        raise DataError(
            f"{name}: has colours, where the masks of this data set hold the numbers of classes; save it as these"
        )
    return np.ascontiguousarray(colours_HW3[..., 0])


def list_palette(image: Image.Image) -> tuple[Colour, ...]:
    """Return the colours of the places of a picture with a palette."""
    parts = image.getpalette("RGB") or []
    return tuple(zip(parts[::3], parts[1::3], parts[2::3], strict=False))


def take_places(image: Image.Image, name: str, palette: Sequence[Colour], *, by_level: bool) -> Pixels:
    """Return the numbers (H, W), uint8, of a mask with a palette: places in it, or its grey levels.

    Args:
        image: the mask, as it lies.
        name: of its file.
        palette: the colours that its places must have; empty: any.
        by_level: whether to take its grey levels.

    Raises:
        DataError: when the palette is another, or has colours where levels are to be taken.
    """
    places_HW, own = np.asarray(image), list_palette(image)
    if palette and not have_equal_places(own, palette):
        _require_equal_places(places_HW, own, palette, name)
    if not by_level:
        return places_HW
    if not all(len({*colour}) == 1 for colour in own):
        raise DataError(f"{name}: has colours in its palette, where the masks of this data set hold grey levels")
    level_of_place = np.zeros(256, np.uint8)
    level_of_place[: len(own)] = [level for level, _, _ in own]
    levels_HW: Pixels = level_of_place[places_HW]
    return levels_HW


def have_equal_places(some: Sequence[Colour], others: Sequence[Colour]) -> bool:
    """Say whether two palettes are one, of which either may be cut off behind the last place that it needs."""
    shared = min(len(some), len(others))
    return tuple(some[:shared]) == tuple(others[:shared])


def _require_equal_places(places_HW: Pixels, own: Sequence[Colour], palette: Sequence[Colour], name: str) -> None:
    # What no pixel has may be anything.
    for place in np.flatnonzero(np.bincount(places_HW.reshape(-1))).tolist():
        if place < min(len(own), len(palette)) and own[place] != palette[place]:
            raise DataError(
                f"{name}: place {place} of its palette is {own[place]}, and {palette[place]} in other masks, so its "
                "numbers mean other classes; save it with their palette, or all masks as RGB"
            )


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
