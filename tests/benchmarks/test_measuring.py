from functools import partial

from torch import nn

from benchmarks.measuring import ArmProcess, Throughput, describe_ratios, run_rounds


class _Constant:
    """An arm with three weights that always brings the same."""

    network = nn.Linear(2, 1)

    def run_round(self) -> Throughput:
        return Throughput(samples_per_second=7.0, core_seconds_per_sample=0.5)


def test_rounds_take_turns_and_the_first_is_not_counted():
    order = []

    def arm(name: str) -> Throughput:
        order.append(name)
        return Throughput(samples_per_second=float(len(order)), core_seconds_per_sample=1.0)

    found = run_rounds({"a": partial(arm, "a"), "b": partial(arm, "b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert [throughput.samples_per_second for throughput in found["a"]] == [3.0, 5.0]


def test_an_arm_runs_in_a_process_of_its_own():
    arm = ArmProcess(_Constant)
    assert arm.parameters == 3
    assert arm.run_round() == Throughput(samples_per_second=7.0, core_seconds_per_sample=0.5)
    arm.close()


def test_ratios_are_given_with_their_range():
    assert describe_ratios([2.0, 3.0, 2.5]) == "2.50 (2.00 to 3.00)"
    assert describe_ratios([100.0, 300.0, 241.4]) == "241 (100 to 300)"
