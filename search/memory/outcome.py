"""How a trial can end."""

from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """How a trial ended; a trial without one is unfinished."""

    FINISHED = "finished"
    STOPPED = "stopped by ASHA"
    FAILED = "failed"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out of memory"
    OVER_LIMIT = "over a limit"
    PRUNED = "pruned"


FAILURES: Final = (Outcome.FAILED, Outcome.DIVERGED, Outcome.OUT_OF_MEMORY)
