"""Encodes pictures: PNG files that appear whole or not at all, JPEG bytes; drawing them lives in `insight.figures`."""

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from segcore.data.colours import Colour
from segcore.errors import ConfigError, DataError, StorageError
from segcore.replacing import explain_unwritten, replacing

Image = npt.NDArray[np.uint8]


def encode_jpeg(image_HW3: Image, quality: int = 85) -> bytes:
    """Return the content of a JPEG file.

    Args:
        image_HW3: RGB, uint8.
        quality: 1 (smallest) to 100 (best).

    Raises:
        ConfigError: when the quality is outside 1..100.
        DataError: when the image is not RGB uint8.
    """
    if not 1 <= quality <= 100:
        raise ConfigError(f"quality is {quality}; JPEG knows 1 to 100: 85 is a good choice.")
    return _encode(image_HW3, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def save_png(image_HW3: Image, file: Path) -> None:
    """Write a PNG file; it appears only when it is complete.

    Args:
        image_HW3: RGB, uint8.
        file: where to write; an existing file is replaced.

    Raises:
        DataError: when the image is not RGB uint8.
        StorageError: when the file cannot be written.
    """
    write_whole(_encode(image_HW3, ".png", []), file)


def save_index_png(numbers_HW: npt.NDArray[np.uint16], palette_N3: Image, file: Path) -> None:
    """Write numbers as a PNG file; it appears only when it is complete.

    Args:
        numbers_HW: up to 255 they are written as places in a palette, above as grey levels of 16 bits.
        palette_N3: RGB colours of 0 to 255, for whoever looks at the file.
        file: where to write; an existing file is replaced.

    Raises:
        StorageError: when the file cannot be written.
    """
    if numbers_HW.max() > 255:
        picture = PIL.Image.fromarray(numbers_HW)
    else:
        picture = PIL.Image.fromarray(numbers_HW.astype(np.uint8), mode="P")
        picture.putpalette(palette_N3.tobytes())
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    write_whole(stream.getvalue(), file)


def fill_palette(colours: Sequence[Colour]) -> Image:
    """Return the palette (256, 3) of index masks: the colours in their order, and white for void and what is no class.

    Args:
        colours: RGB, at most 256.
    """
    palette_N3 = np.full((256, 3), 255, np.uint8)
    palette_N3[: len(colours)] = colours
    return palette_N3


def write_whole(content: bytes, file: Path) -> None:
    """Write a file that appears only when it is complete.

    Raises:
        StorageError: when it cannot be written.
    """
    require_replaceable(file)
    try:
        with replacing(file) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{file} {explain_unwritten(error)}.") from error


def require_replaceable(file: Path) -> None:
    """Refuse a place that is taken by a device, a pipe or a folder: a file that appears whole would replace it.

    Raises:
        StorageError: naming the place.
    """
    if file.exists() and not file.is_file():
        raise StorageError(f"{file} is no regular file, and is not replaced by one; give the name of a file.")


def _encode(image_HW3: Image, suffix: str, options: list[int]) -> bytes:
    if image_HW3.ndim != 3 or image_HW3.shape[2] != 3 or image_HW3.dtype != np.uint8 or image_HW3.size == 0:
        raise DataError(
            f"The image is {image_HW3.dtype} of shape {image_HW3.shape}; a picture file needs RGB, uint8 of "
            "shape (height, width, 3): convert it first."
        )
    # OpenCV's channels are in the order blue, green, red.
    done, content_N = cv2.imencode(suffix, np.ascontiguousarray(image_HW3[..., ::-1]), options)
    if not done:
        raise DataError(f"An image of shape {image_HW3.shape} cannot be encoded as {suffix}; make it smaller.")
    content: bytes = content_N.tobytes()
    return content
