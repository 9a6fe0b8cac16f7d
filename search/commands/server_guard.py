"""Ends MLflow's server as soon as the `ui` that started it was killed, which closes this process's standard input."""

import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from segcore.scratch import clear_left

PREFIX: Final = "street-ui-"
"""Of the folder that holds a server's users."""
_ROUNDS: Final = 10
"""One a second, in which the server's processes may end by themselves."""


def end_group(group: int) -> None:
    """Tell a group of processes to end, and kill those that have not after a while."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        for _ in range(_ROUNDS):
            time.sleep(1)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)


def clear_users() -> None:
    """Delete the users of servers whose `ui` was killed."""
    clear_left(PREFIX, Path(tempfile.gettempdir()))


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_group(int(sys.argv[1]))
    clear_users()
