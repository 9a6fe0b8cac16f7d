"""A data-set folder that is written whole or not at all, and the images in it, linked where the disk allows it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segcore.errors import StorageError
from segcore.replacing import explain_unwritten


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder, which takes the place of another when the block ends well; else nothing of it stays.

    Args:
        out: the folder to make; it must not exist or be empty.

    Raises:
        StorageError: when the folder holds something already or cannot be written.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError(f"{out} holds something already; give a new or empty folder.")
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        # Where a container's processes have the same numbers each time, one that was killed had this name for it too.
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        part.replace(out)
    except OSError as error:
        raise StorageError(f"{out} {explain_unwritten(error)}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def link_or_copy(image: Path, place: Path) -> None:
    """Put an image into a folder that is there; its pixels take no room where both are on one disk."""
    try:
        os.link(image.resolve(), place)
    except OSError:
        # Another disk, or a file system without links.
        shutil.copyfile(image, place)
