import pytest

from search.run.trial import Limits


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({}, ""),
        ({"latency_ms": 30.0, "memory_gib": 2.0}, ""),
        ({"latency_ms": 12.5, "memory_gib": 1.5}, ""),
        ({"latency_ms": 10.0}, "12.5 ms per prediction are above --max-latency-ms 10"),
        (
            {"latency_ms": 10.0, "memory_gib": 1.0},
            "12.5 ms per prediction are above --max-latency-ms 10; "
            "1.5 GiB of GPU memory per prediction are above --max-memory-gib 1",
        ),
    ],
)
def test_limits_that_a_prediction_breaks_are_named(limits, told):
    assert Limits(**limits).describe_broken({"latency_ms": 12.5, "memory_gib": 1.5}) == told
