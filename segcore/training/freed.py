"""Waits for GPU memory that a dying process still holds."""

import time
from collections.abc import Callable
from typing import Final

_WAIT_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 1.0
_FREE_SHARE: Final = 0.85
"""Of what a training may take; a context, a desktop and rounding have the rest."""

Memory = tuple[int, int]
"""Bytes of a GPU that are free, and that it has."""


def wait_for_memory(
    read: Callable[[], Memory], share: float, sleep: Callable[[float], None] = time.sleep
) -> float | None:
    """Wait until the memory that a training may take is free, a minute at most.

    Args:
        read: returns the GPU's free and whole memory.
        share: of the GPU that the training may take, up to 1.
        sleep: waits so many seconds.

    Returns:
        Seconds that were waited; None when it is still taken, so that the training has to do with what there is.
    """
    waited_seconds = 0.0
    while True:
        free, total = read()
        if free >= _FREE_SHARE * share * total:
            return waited_seconds
        if waited_seconds >= _WAIT_SECONDS:
            return None
        sleep(_LOOK_SECONDS)
        waited_seconds += _LOOK_SECONDS
