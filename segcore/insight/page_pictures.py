"""Pictures inside pages: photographs, masks in the classes' colours, and how large they are.

The pages themselves live in `page`.
"""

import base64
import html
import io

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from segcore.data.classes import ClassTable
from segcore.data.picture_files import encode_jpeg
from segcore.insight.page import Markup, element, join

Pixels = npt.NDArray[np.uint8]


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
    """Return an RGB image at most `width` pixels wide."""
    return _resize(image_HW3, width, cv2.INTER_AREA)


def shrink_mask(mask_HW: Pixels, width: int) -> Pixels:
    """Return class indices at most `width` pixels wide, without mixing them."""
    return _resize(mask_HW, width, cv2.INTER_NEAREST)


def _resize(pixels: Pixels, width: int, interpolation: int) -> Pixels:
    if pixels.shape[1] <= width:
        return pixels
    height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
    resized: Pixels = cv2.resize(pixels, (width, height), interpolation=interpolation)
    return resized
