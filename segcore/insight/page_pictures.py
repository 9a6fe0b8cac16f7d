"""Pictures inside pages: photographs, masks in the classes' colours, and how large they are.

The pages themselves live in `page`.
"""

import base64
import html
import io
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from segcore.data.classes import ClassTable
from segcore.data.picture_files import encode_jpeg
from segcore.insight.page import Markup, element, join

Pixels = npt.NDArray[np.uint8]

_TALLEST: Final = 8
"""Heights per width of a picture at most."""


def picture(content: bytes, kind: str, caption: str) -> Markup:
    """Return a picture file as a figure.

    Args:
        content: the file.
        kind: `jpeg` or `png`.
        caption: what it shows, a text below.
    """
    data = base64.b64encode(content).decode("ascii")
    alternative = html.escape(caption, quote=True)
    image = Markup(f'<img loading="lazy" alt="{alternative}" src="data:image/{kind};base64,{data}">')
    return element("figure", join([image, element("figcaption", caption)]))


def photo(image_HW3: Pixels, caption: str, width: int) -> Markup:
    """Return an RGB image as a JPEG figure, at most `width` pixels wide."""
    return picture(encode_jpeg(shrink(image_HW3, width), quality=80), "jpeg", caption)


def mask_picture(mask_HW: Pixels, table: ClassTable, caption: str, width: int) -> Markup:
    """Return class indices as a PNG figure in the classes' colours, at most `width` pixels wide."""
    image = Image.fromarray(shrink_mask(mask_HW, width), mode="P")
    image.putpalette(table.palette_N3.tobytes())
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return picture(stream.getvalue(), "png", caption)


def shrink(image_HW3: Pixels, width: int) -> Pixels:
    """Return an RGB image at most `width` pixels wide, and no more than eight times that tall."""
    return _resize(image_HW3, width, cv2.INTER_AREA)


def shrink_mask(mask_HW: Pixels, width: int) -> Pixels:
    """Return class indices at most `width` pixels wide, without mixing them."""
    return _resize(mask_HW, width, cv2.INTER_NEAREST_EXACT)


def _resize(pixels: Pixels, width: int, interpolation: int) -> Pixels:
    height_now, width_now = pixels.shape[:2]
    # Of a line camera's, which may be too tall for a JPEG file.
    scale = min(width / width_now, _TALLEST * width / height_now)
    if scale >= 1:
        return pixels
    size = max(1, round(width_now * scale)), max(1, round(height_now * scale))
    resized: Pixels = cv2.resize(pixels, size, interpolation=interpolation)
    return resized
