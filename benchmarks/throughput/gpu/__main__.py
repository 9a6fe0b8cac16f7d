"""Measure a card within some minutes: `python -m benchmarks.throughput gpu --minutes 8 --out DIR`.

Rows stand in the order of their worth; each has a time limit, and what is measured is kept after each. Rows that
compile their network do so before, all at the same time: their processes find the code in Inductor's cache. Without a
card the same rows run over tiny streets, which tries the command and says nothing of speed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import torch

from benchmarks.measuring import describe_machine
from benchmarks.throughput.gpu.row import tell
from benchmarks.throughput.gpu.rows import ROWS, TINY, TINY_ROWS, WHOLE, Found, Row, Scale, merge
from benchmarks.throughput.gpu.table import format_tables, write_tables
from segcore.data.caching.build import prepare_cache
from segcore.data.dataset import read_dataset
from segcore.streets.synthetic import write_streets

_LEAST_SECONDS: Final = 15.0
"""A row that has less is not begun: starting a process takes most of it."""
_DRAWN_SIDE_SHARE: Final = 2
"""Streets are drawn at half their side and enlarged: to draw them whole would take the minutes of three rows."""
_REASON_CHARACTERS: Final = 200
_COMPILED_SHARE: Final = 0.45
"""Most of the time that may go by until everything is compiled."""

Run = Callable[[Row, float], Found]
"""Measures a row within so many seconds."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the streets, measure the rows that the time allows, and print the tables."""
    told = _parse(arguments)
    until = time.monotonic() + 60 * told.minutes
    on_gpu = torch.cuda.is_available()
    scale, rows = (WHOLE, ROWS) if on_gpu else (TINY, TINY_ROWS)
    rows = [row for row in rows if any(words in row.name for words in told.only)]
    told.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder, scale)
        machine = f"{describe_machine()}; drawn streets of {scale.width}x{scale.height}"
        if not on_gpu:
            machine += "; no card: tiny streets, whose figures say nothing of speed"

        def run(scale: Scale, row: Row, seconds: float) -> Found:
            return run_row(row, scale, folder, told.cpus, seconds)

        found = compile_rows(
            rows if on_gpu else [], partial(run, replace(scale, rounds=1)), _COMPILED_SHARE * (until - time.monotonic())
        )
        for name, brought in measure_rows(rows, partial(run, scale), lambda: until - time.monotonic()):
            found[name] = brought
            left = [row.name for row in rows if row.name not in found]
            write_tables(told.out, machine, found, left)
            print(
                f"{until - time.monotonic():.0f} s left after {name}: {brought.get('failed', 'measured')}", flush=True
            )
    print(format_tables(machine, found, [row.name for row in rows if row.name not in found]))


def draw(folder: Path, scale: Scale) -> None:
    """Draw the streets of a scale into `streets` and prepare them in `cache`."""
    side = _DRAWN_SIDE_SHARE
    height, width = scale.height // side, scale.width // side
    write_streets(folder / "streets", cases=scale.streets, height=height, width=width, test_cases=0)
    for file in sorted((folder / "streets").rglob("*.[jp][pn]g")):
        kind = cv2.INTER_NEAREST if file.suffix == ".png" else cv2.INTER_CUBIC
        picture_HW3 = cv2.imread(str(file))
        cv2.imwrite(str(file), cv2.resize(picture_HW3, (scale.width, scale.height), interpolation=kind))
    prepare_cache(read_dataset(folder / "streets"), folder / "cache")


def compile_rows(rows: Sequence[Row], run: Run, seconds: float) -> dict[str, Found]:
    """Run the rows that compile once, all at the same time, and return by `compiling NAME` how many seconds each took.

    Args:
        rows: of which some compile.
        run: measures a row within so many seconds.
        seconds: after which a row is given up.
    """
    compiling = [row for row in rows if row.compiles]

    def time_row(row: Row) -> Found:
        started = time.monotonic()
        brought = run(row, seconds)
        return brought if "failed" in brought else {"seconds": time.monotonic() - started}

    with ThreadPoolExecutor(max(1, len(compiling))) as pool:
        return {
            f"compiling {row.name}": brought
            for row, brought in zip(compiling, pool.map(time_row, compiling), strict=True)
        }


def measure_rows(rows: Sequence[Row], run: Run, seconds_left: Callable[[], float]) -> Iterator[tuple[str, Found]]:
    """Yield each row's name and figures, until no time is left for another.

    Args:
        rows: in the order of their worth.
        run: measures a row within so many seconds.
        seconds_left: until everything must be at its end.
    """
    for row in rows:
        seconds = min(row.most_seconds, seconds_left())
        if seconds >= _LEAST_SECONDS:
            yield row.name, {**run(row, seconds), "batch_size": row.batch_size}


def run_row(row: Row, scale: Scale, folder: Path, cpus: int, seconds: float) -> Found:
    """Measure a row in as many processes as it wants, and end those that take longer, with their loader workers."""
    until = time.monotonic() + seconds
    told = tell(row, scale, folder, max(1, cpus // row.at_once))
    processes = [_start(told) for _ in range(row.at_once)]
    return merge([_gather(process, until - time.monotonic()) for process in processes])


def _start(told: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.throughput.gpu.row"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A group of its own, so that its loader workers end with it.
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(told)
    process.stdin.close()
    process.stdin = None
    return process


def _gather(process: "subprocess.Popen[str]", seconds: float) -> Found:
    try:
        output, errors = process.communicate(timeout=max(0.0, seconds))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"failed": "given up after its time"}
    if process.returncode:
        reason = (errors.strip().splitlines() or ["no word"])[-1]
        return {"failed": f"ended with {process.returncode}: {reason[:_REASON_CHARACTERS]}"}
    found: Found = json.loads(output.splitlines()[-1])
    return found


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="after which everything is at its end")
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.json and gpu.md")
    parser.add_argument("--only", nargs="+", default=[""], help="rows whose names hold one of these")
    parser.add_argument("--cpus", type=int, default=os.cpu_count() or 1, help="processor cores")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
