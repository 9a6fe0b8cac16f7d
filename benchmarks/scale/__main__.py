"""`python -m benchmarks.scale`: everything in this folder, one after the other (about half an hour on 2 cores)."""

import sys

from benchmarks.scale import busy, decision_time, feeding, growth, reports, startup


def main() -> None:
    """Run the benchmarks of the search's own work, each with its defaults."""
    for benchmark in (startup, decision_time, reports, feeding, growth, busy):
        print(f"\n{benchmark.__name__}", flush=True)
        sys.argv = [benchmark.__name__]
        benchmark.main()


if __name__ == "__main__":
    main()
