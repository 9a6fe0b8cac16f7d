"""How good the search is against others, or a table of real trainings for it: `python -m benchmarks.quality [record]`.

`playing` compares searchers, `record` trains, `shrink` makes data small for it, `settle` says how early the ranks of
its table settle; none needs what only another imports.
"""

import os
import sys

# Before NumPy: the peers' models predict one row at a time, and on a busy machine two threads wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from segcore.errors import StreetError


def main() -> None:
    """Play every arm on every task under every seed and print the tables, or prepare a table of trainings."""
    try:
        if sys.argv[1:2] == ["record"]:
            from benchmarks.quality.record import main as record

            record(sys.argv[2:])
        elif sys.argv[1:2] == ["shrink"]:
            from benchmarks.quality.shrinking import main as shrink

            shrink(sys.argv[2:])
        elif sys.argv[1:2] == ["settle"]:
            from benchmarks.quality.settling import main as settle

            settle(sys.argv[2:])
        else:
            from benchmarks.quality.playing import main as play

            play(sys.argv[1:])
    except StreetError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
