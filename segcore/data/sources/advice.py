"""The command that a message sends its reader to, such that it can be pasted whatever the folder is called."""

import shlex
from pathlib import Path


def init_command(folder: Path) -> str:
    """Return the command that looks into a folder and begins its `dataset.json`."""
    return f"python -m segcore init {shlex.quote(str(folder))}"
