"""`python -m benchmarks.drill.driver`: `python -m search` as on a machine of its own, with another raylet or clock.

A driver connects through a raylet of its own machine, the head's first; all nodes of a drill are of one machine, so it
is shown that of DRILL_NODE alone. The time of day is as many seconds ahead as the file DRILL_CLOCK says whenever it is
asked; what is written in C, such as Ray's core, keeps the machine's, and clocks that nobody sets go on.
"""

import os
import time
from pathlib import Path
from typing import Final

NODE: Final = "DRILL_NODE"
CLOCK: Final = "DRILL_CLOCK"


def set_clock(file: Path) -> None:
    """Let this process go by a clock that is ahead by what a file says."""
    real_ns = time.time_ns

    def time_ns() -> int:
        return real_ns() + int(file.read_text(encoding="ascii")) * 1_000_000_000

    time.time_ns, time.time = time_ns, lambda: time_ns() / 1e9


def show_node(name: str) -> None:
    """Let this process find no raylet but that of a node."""
    # Ray reads how it is to prove itself when it is imported, which the package sets.
    from ray._private import services

    services.find_node_ids = lambda: [name]


if __name__ == "__main__":
    if CLOCK in os.environ:
        set_clock(Path(os.environ[CLOCK]))
    if NODE in os.environ:
        show_node(os.environ[NODE])
    from search.__main__ import main

    main()
