"""The figures as JSON and as Markdown, written anew after each row: what was measured is kept, however the run ends."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.throughput.gpu.rows import Found
from segcore.data.picture_files import write_whole

_TRAINING: Final[Mapping[str, Callable[[Found, Found], float]]] = {
    "samples/s": lambda found, peaks: found["samples_per_second"],
    "with validation": lambda found, peaks: found["epoch_samples_per_second"],
    "validation, %": lambda found, peaks: 100 * found["validation_share"],
    "waits for samples, %": lambda found, peaks: 100 * found["wait_share"],
    "device idle, %": lambda found, peaks: 100 * found["idle_share"],
    "kernels": lambda found, peaks: found["kernels"],
    "pageable copies": lambda found, peaks: found["pageable_copies"],
    "operations a step": lambda found, peaks: found["operations"],
    "of the bandwidth, %": lambda found, peaks: 100 * _per_second(found, "gib") / peaks["gib_per_second"],
    "of the matrix peak, %": lambda found, peaks: 0.1 * _per_second(found, "gflop") / peaks["tflops"],
    "memory, GiB": lambda found, peaks: found["peak_memory_gib"],
}
_PREDICTION: Final[Mapping[str, Callable[[Found, Found], float]]] = {
    "images/s": lambda found, peaks: found["images_per_second"],
    "memory, GiB": lambda found, peaks: found["peak_memory_gib"],
}


def write_tables(out: Path, machine: str, found: Mapping[str, Found], left_out: Sequence[str]) -> None:
    """Write `gpu.json` and `gpu.md`.

    Args:
        out: folder.
        machine: names the card.
        found: by row; a training's has its batch_size.
        left_out: rows that there was no time for.
    """
    document = {"machine": machine, "rows": found, "left_out": list(left_out)}
    write_whole(json.dumps(document, indent=1).encode(), out / "gpu.json")
    write_whole(format_tables(machine, found, left_out).encode(), out / "gpu.md")


def format_tables(machine: str, found: Mapping[str, Found], left_out: Sequence[str]) -> str:
    """Return the tables in Markdown: peaks, trainings, predictions, and what was not measured."""
    peaks = found.get("peaks", {})
    lines = [machine, ""]
    lines += [f"- {name}: {value:.4g}" for name, value in peaks.items() if not isinstance(value, str)]
    for kind, unit in (("start", "s"), ("step", "ms")):
        divided = [row for name, row in found.items() if name.startswith(kind) and "failed" not in row]
        parts = [(part, value) for row in divided for part, value in row.items() if part != "batch_size"]
        lines += [f"- {kind}, {part}: {value:.1f} {unit}" for part, value in parts]
    for kind, columns in (("training", _TRAINING), ("prediction", _PREDICTION)):
        rows = {name: row for name, row in found.items() if name.startswith(kind) and "failed" not in row}
        lines += ["", f"| {kind} | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
        for name, row in rows.items():
            cells = [_format_cell(column, row, peaks) for column in columns.values()]
            lines.append(f"| {name.removeprefix(kind + ' ')} | {' | '.join(cells)} |")
    lines += ["", *(f"- {name}: {row['seconds']:.0f} s" for name, row in found.items() if "seconds" in row)]
    failed = [f"- {name}: {row['failed']}" for name, row in found.items() if "failed" in row]
    lines += ["", *failed, *(f"- {name}: no time was left" for name in left_out)]
    return "\n".join(lines) + "\n"


def _per_second(found: Found, name: str) -> float:
    return float(found[name] * found["samples_per_second"] / found["batch_size"])


def _format_cell(column: Callable[[Found, Found], float], row: Found, peaks: Found) -> str:
    try:
        return f"{column(row, peaks):.4g}"
    # A plain loop's operations are not counted, and a CPU has no kernels.
    except KeyError:
        return ""
