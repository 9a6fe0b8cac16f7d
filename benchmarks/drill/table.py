"""How a drill's accounts are shown: a line per fault, the two combinations beside each other."""

from collections.abc import Sequence

from benchmarks.drill.account import Account

COLUMNS = (
    *("fault", "arm", "exit", "trials", "unended", "lost", "epochs again", "runs +/-", "RUNNING", "points twice"),
    *("points missing", "s", "not as it should be"),
)


def format_head() -> list[str]:
    """Return the table's first two lines."""
    return [f"| {' | '.join(COLUMNS)} |", "| --- " * len(COLUMNS) + "|"]


def format_row(fault: str, arm: str, account: Account, wrong: Sequence[str]) -> str:
    """Return a fault's line."""
    codes = " ".join("killed" if code is None else str(code) for code in account.exit_codes)
    counts = (account.trials, account.unended, account.lost, account.repeated_epochs, f"{account.doubled_runs:+d}")
    more = (account.running, account.doubled_points, account.missing_points, f"{account.seconds:.0f}")
    return f"| {' | '.join(map(str, (fault, arm, codes, *counts, *more, '; '.join(wrong) or '-')))} |"
