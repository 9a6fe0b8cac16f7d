"""Names what a prediction can do when a device has too little memory for it."""

import contextlib
from collections.abc import Iterator
from typing import Final

from segcore.errors import DeviceMemoryError
from segcore.machine import Machine, is_memory_error
from segcore.prediction.options import PredictOptions

SMALL_TILE_SIZE: Final = 512
"""Side of a tile, pixels, that a device of little memory takes."""


@contextlib.contextmanager
def name_prediction_memory_errors(options: PredictOptions, size: tuple[int, int], machine: Machine) -> Iterator[None]:
    """Turn torch's out-of-memory errors in a prediction into `DeviceMemoryError` with a remedy.

    Args:
        options: how the network looks at the image.
        size: (height, width) of the image, pixels.
        machine: where it is predicted.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_memory_error(error):
            raise
        scales = ",".join(f"{scale:g}" for scale in options.scales)
        raise DeviceMemoryError(
            f"{machine.device} ran out of memory predicting an image of {size[1]}x{size[0]} pixels with "
            f"mode={options.mode}, tile_size={options.tile_size}, scales={scales}; {_remedy(options)}."
        ) from error


def _remedy(options: PredictOptions) -> str:
    if options.mode in ("tiles", "overlap") and options.tile_size is not None and options.tile_size <= SMALL_TILE_SIZE:
        return "use --mode resize --scale 0.5, or --device cpu"
    return f"use --mode overlap --tile-size {SMALL_TILE_SIZE}"
