"""Files that are there whole or not at all: no reader meets half of one, and no failure leaves half of one behind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield the place to write a file to, beside it; what is written takes its place when the block ends well.

    Args:
        file: in a folder that is there; when the block raises, it stays as it is.

    Raises:
        OSError: when it cannot be replaced.
    """
    # Two processes may write it at once.
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(file)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
