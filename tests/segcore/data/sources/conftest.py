"""Writes small images and masks, a pixel or a few each, for data sets of any layout."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def put() -> Callable[..., Path]:
    """Return a function that writes an image, and the folders above it, and returns its path."""

    def put(file: Path, pixels: object = ((0, 0),), *, palette: Sequence[int] = (), dtype: type = np.uint8) -> Path:
        """Write rows of grey levels, or of colours, or of places in a palette (red, green, blue, red, ...)."""
        file.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.array(pixels, dtype))
        if palette:
            image = image.convert("P")
            image.putdata(np.array(pixels).ravel().tolist())
            image.putpalette(list(palette))
        image.save(file)
        return file

    return put


@pytest.fixture
def put_pair(put: Callable[..., Path]) -> Callable[..., None]:
    """Return a function that writes a grey image and a mask of the same size."""

    def put_pair(image: Path, mask: Path, numbers: object = ((0, 1),), **options: object) -> None:
        height, width = np.array(numbers).shape[:2]
        put(image, np.full((height, width, 3), 90))
        put(mask, numbers, **options)

    return put_pair
