import pytest

from search.run.probe import PRETENDED
from search.run.trial_job import Limits, require_promised
from segcore.errors import ClusterError
from segcore.machine import Machine


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


def test_a_slow_prediction_is_told_in_whole_milliseconds():
    told = Limits(latency_ms=1000.0).describe_broken({"latency_ms": 1234.5, "memory_gib": 1.5})
    assert told == "1234 ms per prediction are above --max-latency-ms 1000"


def test_a_trial_that_was_promised_a_gpu_and_sees_none_ends_as_its_nodes_failure(monkeypatch):
    monkeypatch.delenv(PRETENDED, raising=False)
    with pytest.raises(ClusterError, match=r"the trial was given 1 GPU by Ray and torch sees none; mend its driver"):
        require_promised(Machine(), 1)
    require_promised(Machine(), 0)
    require_promised(Machine(device="cuda:0"), 1)
    monkeypatch.setenv(PRETENDED, "1")
    require_promised(Machine(), 1)
