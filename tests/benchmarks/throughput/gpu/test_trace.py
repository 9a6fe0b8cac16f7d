"""What a trace says of a device, worked out by hand."""

import pytest

from benchmarks.throughput.gpu.trace import find_gaps, summarise


def _event(category: str, start: float, seconds: float, name: str = "") -> dict:
    return {"ph": "X", "cat": category, "ts": start, "dur": seconds, "name": name}


def test_gaps_are_where_nothing_runs():
    assert find_gaps([(6, 7), (0, 2), (1, 4), (2, 3), (9, 10)]) == [2, 2]
    assert find_gaps([]) == []


def test_a_trace_says_how_long_the_device_had_nothing_to_do_and_what_was_copied():
    events = [
        _event("cpu_op", 0, 500),
        _event("kernel", 100, 50),
        _event("kernel", 140, 20),
        _event("gpu_memcpy", 180, 10, "Memcpy HtoD (Pinned -> Device)"),
        _event("gpu_memcpy", 190, 10, "Memcpy HtoD (Pageable -> Device)"),
        {"ph": "f", "cat": "ac2g", "ts": 100},
    ]
    assert summarise(events) == pytest.approx(
        {"idle_share": 0.2, "longest_gap_ms": 0.02, "kernels": 2, "copies": 2, "pageable_copies": 1}
    )


def test_without_a_device_the_operations_are_counted():
    assert summarise([_event("cpu_op", 0, 5), _event("cpu_op", 1, 2)]) == {"called_operations": 2}
