"""Pages that are rewritten now and then while a search runs, less often where writing takes long."""

import math
import time
from collections.abc import Callable
from typing import Final

_SHARE: Final = 20
"""Writing takes at most one part in so many of the time."""


class Refreshed:
    """A page or file that is rewritten now and then.

    Args:
        name: of what is written.
        write: writes it.
        least_seconds: between two times.
        most_seconds: between two times, however long writing takes.
        is_steady: whether it is written as often all along; else it becomes rarer, as less of it is new.
        clock: seconds that pass, whatever is done to the time of day.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[], None],
        least_seconds: float,
        most_seconds: float,
        *,
        is_steady: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._write = write
        self._pause_seconds = least_seconds
        self._most_seconds = most_seconds
        self._growth = 1 if is_steady else 2
        self._clock = clock
        self._due = -math.inf

    def write(self, *, now: bool) -> None:
        """Write it when it is due; when it fails, it is tried again after the same pause.

        Args:
            now: whether it is due in any case.
        """
        begun = self._clock()
        if not now and begun < self._due:
            return
        try:
            self._write()
        finally:
            ended = self._clock()
            pause = min(self._most_seconds, max(self._pause_seconds, _SHARE * (ended - begun)))
            self._due = ended + pause
            self._pause_seconds = min(self._most_seconds, self._growth * self._pause_seconds)
