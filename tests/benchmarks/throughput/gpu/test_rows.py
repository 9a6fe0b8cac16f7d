"""What a run of some minutes measures, in which order, and that it keeps what it has."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.throughput.gpu.__main__ import compile_rows, draw, measure_rows
from benchmarks.throughput.gpu.row import measure
from benchmarks.throughput.gpu.rows import ROWS, TINY, TINY_ROWS, Found, Row, merge
from benchmarks.throughput.gpu.table import format_tables, write_tables


def test_rows_have_names_of_their_own():
    for rows in (ROWS, TINY_ROWS):
        assert len({row.name for row in rows}) == len(rows)


def test_rows_are_measured_until_no_time_is_left_for_another():
    left = iter([100.0, 70.0, 14.0, 16.0])
    rows = [Row(kind="training", mode=mode, most_seconds=80.0) for mode in ("a", "b", "c", "d")]
    found = list(measure_rows(rows, lambda row, seconds: {"seconds": seconds}, lambda: next(left)))
    assert found == [
        ("training segcore a", {"seconds": 80.0, "batch_size": 0}),
        ("training segcore b", {"seconds": 70.0, "batch_size": 0}),
        ("training segcore d", {"seconds": 16.0, "batch_size": 0}),
    ]


def test_rows_that_compile_are_run_once_before_any_is_measured():
    rows = [
        Row(kind="training", mode="a"),
        Row(kind="training", mode="a", arm="plain"),
        Row(kind="training", mode="a", compile="on"),
        Row(kind="prediction", arm="plain", members=1),
    ]
    ran: list[str] = []

    def run(row: Row, seconds: float) -> Found:
        ran.append(row.name)
        return {"failed": "no compiler"} if row.arm == "plain" else {"samples_per_second": seconds}

    found = compile_rows(rows, run, 30.0)
    assert sorted(ran) == ["training plain a", "training segcore a compile on"]
    assert found["compiling training plain a"] == {"failed": "no compiler"}
    assert list(found["compiling training segcore a compile on"]) == ["seconds"]
    assert compile_rows(rows[:1], run, 30.0) == {}


def test_rates_of_processes_at_once_are_added_and_shares_averaged():
    one = {"samples_per_second": 10.0, "epoch_samples_per_second": 8.0, "wait_share": 0.2, "peak_memory_gib": 3.0}
    other = {"samples_per_second": 30.0, "epoch_samples_per_second": 20.0, "wait_share": 0.4, "peak_memory_gib": 3.0}
    together = {"samples_per_second": 40.0, "epoch_samples_per_second": 28.0, "wait_share": 0.3, "peak_memory_gib": 6.0}
    assert merge([one, other]) == pytest.approx(together)
    assert merge([one, {"failed": "why"}]) == {"failed": "why"}


def test_idle_time_of_a_device_is_told_of_a_process_that_has_it_for_itself():
    """Of two each saw the device idle while the other one's kernels ran."""
    watched = {"samples_per_second": 10.0, "idle_share": 0.6, "longest_gap_ms": 3.0}
    assert merge([watched]) == watched
    assert merge([watched, watched]) == {"samples_per_second": 20.0}


def test_tables_say_what_a_row_is_of_the_peaks_and_what_is_missing(tmp_path: Path):
    # 4 steps a second of 2 GiB and 500 GFLOP: 8 of 32 GiB/s, 2 of 10 TFLOP/s.
    row = {"samples_per_second": 64.0, "batch_size": 16, "gib": 2.0, "gflop": 500.0, "idle_share": 0.05}
    found = {"peaks": {"gib_per_second": 32.0, "tflops": 10.0}, "training segcore full batch 16": row}
    found["training plain full batch 16"] = {"failed": "given up after its time"}
    write_tables(tmp_path, "one card", found, ["prediction plain 5 network(s)"])
    table = (tmp_path / "gpu.md").read_text()
    (line,) = [line for line in table.splitlines() if line.startswith("| segcore")]
    assert line == "| segcore full batch 16 | 64 |  |  |  | 5 |  |  |  | 25 | 20 |  |"
    assert "- training plain full batch 16: given up after its time" in table
    assert "- prediction plain 5 network(s): no time was left" in table
    assert json.loads((tmp_path / "gpu.json").read_text())["rows"] == found
    assert format_tables("one card", found, ["prediction plain 5 network(s)"]) == table


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("drawn")
    draw(folder, TINY)
    yield folder


def test_a_training_is_measured_with_its_validation_and_what_a_step_asks_for(drawn: Path):
    found = measure(TINY_ROWS[3], TINY, drawn, 1, time.time())
    assert found["samples_per_second"] > found["epoch_samples_per_second"] > 0
    assert 0 < found["validation_share"] < 1
    assert 0 <= found["wait_share"] < 1
    assert min(found[name] for name in ("operations", "gib", "gflop", "called_operations")) > 0


def test_peaks_are_measured(drawn: Path):
    found = measure(TINY_ROWS[0], TINY, drawn, 1, time.time())
    assert set(found) == {"tflops", "gib_per_second", "from_pageable_gib_per_second"}
    assert min(found.values()) > 0


def test_a_start_is_measured_part_by_part_for_a_known_network_too(drawn: Path):
    found = measure(TINY_ROWS[1], TINY, drawn, 1, time.time() - 3.0)
    steps = [
        f"{each} step{of}"
        for each in ("first", "second")
        for of in ("", ", calling convolutions", ", calling depthwise ones")
    ]
    parts = ["network", *steps, "first epoch", "second epoch"]
    trainings = ["1 unet", "2 fpn", "3 unet again", "4 unet in another thread"]
    assert list(found) == ["process and imports", *(f"{each}: {part}" for each in trainings for part in parts)]
    assert found["process and imports"] >= 3.0
    assert min(found.values()) > 0
    convolutions = found["1 unet: first step, calling convolutions"]
    assert found["1 unet: first step, calling depthwise ones"] < convolutions < found["1 unet: first step"]
    table = format_tables("one card", {"start crop:64 batch 2": {**found, "batch_size": 2}}, [])
    assert f"- start, 1 unet: network: {found['1 unet: network']:.1f} s" in table
    assert "batch_size" not in table


def test_a_steps_time_is_divided_among_kinds_of_operations(drawn: Path):
    found = measure(TINY_ROWS[2], TINY, drawn, 1, time.time())
    kinds = {"depthwise convolutions", "convolutions of 1x1", "convolutions", "normalisation", "element by element"}
    assert kinds <= found.keys()
    assert list(found.values()) == sorted(found.values(), reverse=True)
    table = format_tables("one card", {"step crop:64 batch 2": {**found, "batch_size": 2}}, [])
    assert f"- step, convolutions: {found['convolutions']:.1f} ms" in table
