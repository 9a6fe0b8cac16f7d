"""`python -m benchmarks.scale`: everything in this folder, one after the other."""

from benchmarks.scale import decision_time, startup


def main() -> None:
    """Run the benchmarks of the search's own work."""
    startup.main()
    decision_time.main()


if __name__ == "__main__":
    main()
