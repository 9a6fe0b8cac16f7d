"""The commands that messages send their reader to; they can be pasted as they are, whatever the folder is called."""

import shlex
from pathlib import Path


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
