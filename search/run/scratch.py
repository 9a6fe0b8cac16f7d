"""The temporary folders of a search's processes, and of what the libraries that they use write."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from segcore.errors import ClusterError
from segcore.scratch import clear_left, locked_folder

_PREFIX: Final = "street-search-scratch-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a temporary folder, locked as long as this process lives, and delete it at the end."""
    with locked_folder(_PREFIX, Path(tempfile.gettempdir())) as folder:
        yield folder


@contextmanager
def blaming_node(*told_by: type[Exception]) -> Iterator[None]:
    """Let a disk of temporary files that takes nothing count as this node's failure, not as that of its trial.

    Args:
        told_by: the errors by which it is told.

    Raises:
        ClusterError: naming this machine, with what to do.
    """
    try:
        yield
    except told_by as error:
        raise ClusterError(
            f"{socket.gethostname()}: make room in {tempfile.gettempdir()}, or start Ray with another folder of "
            f"temporary files by TMPDIR, for this one takes no checkpoint: {error}"
        ) from error


@contextmanager
def temporary_kept() -> Iterator[None]:
    """Have this process and its libraries make temporary files in a folder that is cleared up should it be killed.

    MLflow writes each picture and document that it is sent into one. What killed processes left is deleted first.
    """
    clear_scratch()
    with ExitStack() as closing:
        # A disk that is full, or closed, is told of where something is written that cannot be done without.
        with suppress(OSError):
            folder = closing.enter_context(scratch_folder())
            closing.callback(setattr, tempfile, "tempdir", tempfile.tempdir)
            tempfile.tempdir = str(folder)
        yield


def clear_scratch() -> None:
    """Delete the temporary folders whose process was killed; of other users there is nothing to delete."""
    clear_left(_PREFIX, Path(tempfile.gettempdir()))
