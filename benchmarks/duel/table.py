"""Rows as Markdown, and how an arm compares with the stock pair, paired by round."""

import math
from collections.abc import Sequence
from statistics import median
from typing import Final

from benchmarks.duel.measure import Row
from benchmarks.measuring import describe_ratios

STOCK: Final = "stock"
HEADER: Final = (
    "| round | arm | trials begun | to the end | best iou in the search | iou, further folds | miou, further folds "
    "| seconds to its best | time in stopped trials | time in epochs | seconds in all | load |\n" + "| --- " * 12 + "|"
)


def format_row(row: Row) -> str:
    """Return one line of the table."""
    cells = (
        f"{row.round}",
        row.arm,
        f"{row.trials}",
        f"{row.finished}",
        f"{row.search_iou:.4f}",
        f"{row.iou:.4f}",
        f"{row.miou:.4f}",
        f"{row.best_seconds:.0f}",
        f"{row.stopped_share:.0%}",
        f"{row.busy_share:.0%}",
        f"{row.effort.seconds:.0f}",
        f"{row.effort.load:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def compare(rows: Sequence[Row]) -> list[str]:
    """Return a line for each measure of each arm against the stock pair; nothing where the stock pair did not run."""
    lines: list[str] = []
    for arm in dict.fromkeys(row.arm for row in rows if row.arm != STOCK):
        pairs = pair_rounds(rows, arm)
        if pairs:
            lines += [f"{arm} against {STOCK}, medians (ranges) of {len(pairs)} rounds", *_compare_pairs(pairs)]
    return lines


def pair_rounds(rows: Sequence[Row], arm: str) -> list[tuple[Row, Row]]:
    """Return an arm's rows, each with the stock pair's of the same round."""
    stock = {row.round: row for row in rows if row.arm == STOCK}
    return [(row, stock[row.round]) for row in rows if row.arm == arm and row.round in stock]


def _compare_pairs(pairs: Sequence[tuple[Row, Row]]) -> list[str]:
    shares = [own.seconds_to(stock.search_iou) / stock.best_seconds for own, stock in pairs]
    reached = [share for share in shares if math.isfinite(share)]
    time = f"{describe_ratios(reached)} of its time, " if reached else ""
    found = describe_differences([own.search_iou - stock.search_iou for own, stock in pairs])
    trials = describe_ratios([own.trials / stock.trials for own, stock in pairs])
    return [
        f"  iou on further folds:    {describe_differences([own.iou - stock.iou for own, stock in pairs])}",
        f"  miou on further folds:   {describe_differences([own.miou - stock.miou for own, stock in pairs])}",
        f"  best iou in the search:  {found}",
        f"  stock's best iou after:  {time}reached in {len(reached)} of {len(pairs)} rounds",
        f"  trials begun:            {trials} times as many",
    ]


def describe_differences(differences: Sequence[float]) -> str:
    """Return median and range of differences."""
    return f"{median(differences):+.4f} ({min(differences):+.4f} to {max(differences):+.4f})"
