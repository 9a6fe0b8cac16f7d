"""`python -m benchmarks.scale`: everything in this folder, one after the other (about half an hour on 2 cores).

`--legs growth feeding` runs those alone, in the order that they are given. Each takes numbers of its own where it is
run by itself: `python -m benchmarks.scale.growth --help`.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.scale import busy, decision_time, feeding, growth, reports, startup

LEGS: Final[Mapping[str, Callable[[], None]]] = {
    "startup": startup.main,
    "decision_time": decision_time.main,
    "reports": reports.main,
    "feeding": feeding.main,
    "growth": growth.main,
    "busy": busy.main,
}


def main() -> None:
    """Run benchmarks of the search's own work, each with its defaults."""
    for name in parse_legs(sys.argv[1:]):
        print(f"\n{name}", flush=True)
        sys.argv = [name]
        LEGS[name]()


def parse_legs(arguments: Sequence[str]) -> list[str]:
    """Return the names of the benchmarks that a command line asks for: all of them where it names none."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--legs", nargs="+", choices=list(LEGS), default=list(LEGS), metavar="LEG")
    legs: list[str] = parser.parse_args(arguments).legs
    return legs


if __name__ == "__main__":
    main()
