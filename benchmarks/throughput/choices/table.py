"""The table of choices in Markdown: means over seeds, what a choice gains over its base, and how far seeds spread."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from benchmarks.throughput.choices.groups import Group, Values, describe
from benchmarks.throughput.choices.rows import Row, identify

Known = Mapping[tuple[str, ...], Row]
"""Rows by `identify`."""

METRICS: Final = ("iou", "miou")
_CAPTION: Final = (
    "Means over seeds; behind them what a choice gains over its group's base. Behind a base's mean stands the standard "
    "deviation of its seeds; that of all rows together is the group's noise: a gain within twice that says nothing."
)


def format_table(groups: Mapping[str, Group], known: Known) -> Iterator[str]:
    """Yield the lines of the table, groups in their order and each on each device, rows that are missing left out."""
    yield _CAPTION
    for name, group in groups.items():
        for device in sorted({device for device, *_ in known}):
            found = _find_rows(group, device, known)
            if any(rows for changes, rows in found if changes) or (found[0][1] and not group.changes):
                yield from ("", *_format_group(f"{name}, on {device}", group, found))


def format_row(row: Row) -> str:
    """Return a row as a line for whoever waits."""
    scores = " ".join(f"{name} {row['metrics'][name]:.4f}" for name in METRICS if name in row["metrics"])
    return f"{describe(row['changes'])}: {scores}, {row['seconds']:.0f} s"


def measure_noise(rows_of_choice: Sequence[Sequence[float]]) -> float | None:
    """Return the standard deviation of seeds, pooled over choices; None where no choice has two seeds."""
    several = [values for values in rows_of_choice if len(values) > 1]
    freedom = sum(len(values) - 1 for values in several)
    if not freedom:
        return None
    squares = sum((len(values) - 1) * statistics.variance(values) for values in several)
    return float((squares / freedom) ** 0.5)


def _find_rows(group: Group, device: str, known: Known) -> list[tuple[Values, list[Row]]]:
    keyed = [
        (changes, [identify(device, {**group.base, **changes, "seed": seed}) for seed in seeds])
        for changes, seeds in group.choices()
    ]
    return [(changes, [known[key] for key in keys if key in known]) for changes, keys in keyed]


def _format_group(name: str, group: Group, found: Sequence[tuple[Values, list[Row]]]) -> Iterator[str]:
    noise = {metric: measure_noise([_values(rows, metric) for _, rows in found]) for metric in METRICS}
    told = ", ".join(f"{metric} {value:.4f}" for metric, value in noise.items() if value is not None)
    yield f"**{name}**; base: {describe(group.base)}; noise of a seed: {told or 'unknown'}"
    yield ""
    yield "| choice | iou | gain | miou | gain | seconds | seeds |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    base = found[0][1]
    for changes, rows in found:
        if rows:
            cells = [_format_metric(_values(rows, metric), _values(base, metric), not changes) for metric in METRICS]
            seconds = statistics.mean(row["seconds"] for row in rows)
            yield f"| {describe(changes)} | {' | '.join(cells)} | {seconds:.0f} | {len(rows)} |"


def _format_metric(values: Sequence[float], base: Sequence[float], is_base: bool) -> str:
    # A network of the scored classes alone has no mean over all of them.
    if not values:
        return "- | -"
    mean = statistics.mean(values)
    if is_base:
        return f"{mean:.4f} | " + (f"± {statistics.stdev(values):.4f}" if len(values) > 1 else "-")
    return f"{mean:.4f} | " + (f"{mean - statistics.mean(base):+.4f}" if base else "-")


def _values(rows: Sequence[Row], metric: str) -> list[float]:
    return [row["metrics"][metric] for row in rows if metric in row["metrics"]]
