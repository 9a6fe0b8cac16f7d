"""The table of choices: means, gains over the base of the same device, noise of the seeds."""

import pytest

from benchmarks.throughput.choices.groups import Group
from benchmarks.throughput.choices.rows import identify
from benchmarks.throughput.choices.table import format_row, format_table, measure_noise

GROUP = Group(base={"epochs": 2}, changes=({"loss": "focal"}, {"labels": "scored"}), seeds=(0, 1), base_seeds=(0, 1, 2))


def _know(*rows):
    return {identify(row["device"], row["changes"]): row for row in rows}


def _row(device, iou, miou=None, **changes):
    metrics = {"iou": iou} | ({} if miou is None else {"miou": miou})
    return {"changes": {"epochs": 2, **changes}, "metrics": metrics, "seconds": 3.0, "device": device}


def test_a_choice_stands_beside_the_base_of_its_own_device():
    known = _know(
        _row("cpu", 0.1, 0.2, seed=0),
        _row("card", 0.40, 0.50, seed=0),
        _row("card", 0.42, 0.50, seed=1),
        _row("card", 0.44, 0.53, seed=2),
        _row("card", 0.50, 0.40, seed=0, loss="focal"),
        _row("card", 0.60, 0.42, seed=1, loss="focal"),
    )
    lines = list(format_table({"g": GROUP}, known))
    # Means 0.42 and 0.51; deviations 0.02 and 0.0173 over two degrees of freedom, of focal 0.0707 and 0.0141 over one.
    assert lines[2] == "**g, on card**; base: epochs=2; noise of a seed: iou 0.0440, miou 0.0163"
    assert lines[6:] == [
        "| base | 0.4200 | ± 0.0200 | 0.5100 | ± 0.0173 | 3 | 3 |",
        "| loss=focal | 0.5500 | +0.1300 | 0.4100 | -0.1000 | 3 | 2 |",
    ]


def test_a_metric_that_a_network_does_not_have_is_left_out():
    known = _know(_row("cpu", 0.4, 0.5), _row("cpu", 0.3, labels="scored"))
    assert list(format_table({"g": GROUP}, known))[-1] == "| labels=scored | 0.3000 | -0.1000 | - | - | 3 | 1 |"
    assert format_row(_row("cpu", 0.3, labels="scored")) == "epochs=2 labels=scored: iou 0.3000, 3 s"


def test_noise_needs_a_choice_with_two_seeds():
    assert measure_noise([[0.1], []]) is None
    # Variances 2 and 8 over one degree of freedom each.
    assert measure_noise([[1.0, 3.0], [2.0, 6.0], [9.0]]) == pytest.approx(5**0.5)
