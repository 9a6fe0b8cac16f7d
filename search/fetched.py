"""The note beside a search that was fetched from MLflow: where its own storage is, and which process ran it.

Such a storage is a folder for the moment, and holds what pages and tables are made of; commands that are printed name
the search's own storage. What is fetched, and how, says `tracking.record_file`.
"""

import time
from pathlib import Path
from typing import Annotated, Final

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from segcore.regular import read_regular

_MARK: Final = ".fetched.json"
_SILENT_SECONDS: Final = 900.0
"""A driver says more often that it is there; clocks of two machines may differ by some minutes."""


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Fetched:
    """A search as it was when it was sent.

    Args:
        storage: where it lies, as its own machine names it.
        stage: that a process ran; empty when none did.
        seconds: when, since the Unix epoch.
    """

    storage: str
    stage: str
    seconds: Annotated[float, Field(ge=0, lt=9e9)]

    @property
    def driven(self) -> str:
        """The stage that a process runs now; empty when none does, or it was last heard of long ago."""
        return self.stage if time.time() - self.seconds < _SILENT_SECONDS else ""


def encode_fetched(fetched: Fetched) -> bytes:
    """Return how a search was when it was sent, as a file holds it."""
    return TypeAdapter(Fetched).dump_json(fetched)


def mark_fetched(storage: Path, content: bytes) -> None:
    """Let a storage be known for one that was fetched.

    Args:
        storage: its folder.
        content: as `encode_fetched` made it.

    Raises:
        ValueError: when it is something else.
    """
    TypeAdapter(Fetched).validate_json(content)
    (storage / _MARK).write_bytes(content)


def read_fetched(storage: Path) -> Fetched | None:
    """Return how a search was when it was sent; None for the storage of searches that run or ran here."""
    try:
        return TypeAdapter(Fetched).validate_json(read_regular(storage / _MARK))
    except (OSError, ValueError):
        return None
