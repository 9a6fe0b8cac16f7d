"""Opacity of masks: where it tells apart what has one colour, nobody can say whether the colour or nothing is meant.

A painted mask keeps its colours below what was rubbed out, and soft brushes leave one colour in many opacities.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from segcore.data.colours import Colour
from segcore.errors import DataError

_BAND_PIXELS: Final = 1 << 22


def require_one_opacity(image: Image.Image, name: str) -> None:
    """Refuse a mask of which a colour has several opacities.

    Args:
        image: the mask, as it lies.
        name: of its file.

    Raises:
        DataError: naming the file, and a colour with two of its opacities.
    """
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.getbands()[-1] not in ("A", "a"):
        return
    opacity_HW = np.asarray(image.getchannel(image.getbands()[-1]))
    if opacity_HW.min() == opacity_HW.max():
        return
    opacity_of: dict[Colour, int] = {}
    for colour, opacity in _list_opacities(image):
        other = opacity_of.setdefault(colour, opacity)
        if other != opacity:
            raise DataError(
                f"{name}: has {colour} in several opacities, {other} and {opacity} of 255 among them, so whether it is "
                "a class there, or nothing is drawn, nobody can tell; save the mask without transparency"
            )


def _list_opacities(image: Image.Image) -> list[tuple[Colour, int]]:
    """Return each colour with each of its opacities."""
    rows = max(1, _BAND_PIXELS // image.width)
    found = {
        code
        for top in range(0, image.height, rows)
        for code in _find_codes(image.crop((0, top, image.width, min(top + rows, image.height))))
    }
    return [((code >> 24, code >> 16 & 255, code >> 8 & 255), code & 255) for code in sorted(found)]


def _find_codes(band: Image.Image) -> list[int]:
    pixels_HW4: npt.NDArray[np.uint8] = np.asarray(band.convert("RGBA"))
    codes: list[int] = np.unique(np.ascontiguousarray(pixels_HW4).view(">u4")).tolist()
    return codes
