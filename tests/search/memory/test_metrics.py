import sys

import pytest

from search.memory.metrics import Metrics


def test_numbers_are_read_as_from_a_dictionary():
    numbers = {"iou": 0.5, "iou/car": 0.25, "seconds": 12.0}
    metrics = Metrics(numbers)
    assert metrics == numbers
    assert list(metrics.items()) == list(numbers.items())
    assert {**metrics} == numbers
    assert metrics.get("latency_ms") is None
    assert "iou" in metrics
    with pytest.raises(KeyError):
        metrics["latency_ms"]


def test_reports_of_the_same_names_share_them_and_others_do_not():
    first, second = Metrics({"iou": 0.1, "miou": 0.2}), Metrics({"iou": 0.3, "miou": 0.4})
    assert first._places is second._places
    assert Metrics({"miou": 0.5, "iou": 0.6}) == {"iou": 0.6, "miou": 0.5}
    assert Metrics({}) == {}


def test_a_report_of_thirty_numbers_takes_less_than_half_a_kilobyte():
    metrics = Metrics({f"iou/class {number}": number / 30 for number in range(30)})
    assert sys.getsizeof(metrics) + sys.getsizeof(metrics._numbers) < 500
