"""How a trial can end, and what is told of a long reason."""

from enum import StrEnum
from textwrap import shorten
from typing import Final

_LINE_LETTERS: Final = 200


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


def tell_end(message: str, letters: int = 1000) -> str:
    """Return the end of a long message, where a traceback names its error, from the beginning of a line or a word on.

    Args:
        message: why something ended or failed.
        letters: how many are told of it.
    """
    message = message.strip()
    if len(message) <= letters:
        return message
    _, _, lines = message[-letters - 1 :].partition("\n")
    _, _, words = message[-letters - 1 :].partition(" ")
    return f"... {lines or words or message[-letters:]}"


def tell_last_line(message: str) -> str:
    """Return what a message, such as a traceback, says last, in a line that is not too long."""
    return shorten(message.strip().rpartition("\n")[2], _LINE_LETTERS, placeholder=" ...")
