"""What messages send their reader to: commands to paste, whatever the folder is called, and what else may be labels."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from segcore.data.listing import count_unread
from segcore.data.names import find_called
from segcore.data.sources.colours_file import COLOURS_FILES
from segcore.data.sources.names_file import LISTS_OF_NAMES

_TEXTS: Final = (".csv", ".json", ".jsonl", ".md", ".ndjson", ".txt", ".xml", ".yaml", ".yml")
"""None of these is a mask; those that hold outlines are in `_OUTLINES`."""

_OUTLINES: Final = (".json", ".ndjson", ".txt", ".xml")


def init_command(folder: Path, *, force: bool = False) -> str:
    """Return the command that looks into a folder and begins its `dataset.json`.

    Args:
        folder: of the data set.
        force: whether it has a layout of its own, beside which `init` writes nothing unless it is told to.
    """
    return f"python -m segcore init {shlex.quote(str(folder))}{' --force' if force else ''}"


def check_command(folder: Path) -> str:
    """Return the command that says what is in a data set, and what is wrong with it."""
    return f"python -m segcore check {shlex.quote(str(folder))}"


def class_masks_command(folder: Path) -> str:
    """Return the beginning of the command that puts masks of one class each together; its patterns follow."""
    return f"python -m segcore import masks {shlex.quote(str(folder))} OUT"


def tell_other_labels(folder: Path, images: Iterable[Path]) -> str:
    """Return what to do with files in which the labels may be where there are no masks, or nothing.

    Args:
        folder: of the data set.
        images: the files in it that are read.

    Raises:
        DataError: when a folder may not be read.
    """
    unread = count_unread(folder, below=True)
    unread.subtract(file.suffix.lower() for file in find_called(folder, (*LISTS_OF_NAMES, *COLOURS_FILES)))
    unread[".json"] += sum(image.with_suffix(".json").is_file() for image in images)
    pictures = ", ".join(f"{suffix}: {count}" for suffix, count in unread.most_common() if suffix not in _TEXTS)
    told = f" Masks may be among the files that are not read ({pictures}): save them as PNG." if pictures else ""
    outlines = ", ".join(f"{suffix}: {unread[suffix]}" for suffix in _OUTLINES if unread[suffix] > 0)
    if outlines:
        told += (
            f" If the labels are outlines ({outlines}): 'python -m segcore import coco ANN.json IMAGES OUT' makes "
            "masks of a COCO file; export others (YOLO, labelme, CVAT, Labelbox) as that or as PNG masks."
        )
    return told
