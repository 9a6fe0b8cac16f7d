import pytest

from search.report.axes import Axis, span


def test_a_value_lies_between_the_ends():
    axis = Axis(label="", low=2, high=6)
    assert [axis.place(value) for value in (2, 3, 6)] == [0, 0.25, 1]


def test_on_a_log_axis_equal_ratios_lie_equally_far_apart():
    axis = Axis(label="", low=0.001, high=10, log=True)
    assert [axis.place(value) for value in (0.001, 0.01, 1, 10)] == pytest.approx([0, 0.25, 0.75, 1])


@pytest.mark.parametrize(
    ("axis", "texts"),
    [
        (Axis(label="", low=0, high=1), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (Axis(label="", low=0.613, high=0.681), ["0.62", "0.64", "0.66", "0.68"]),
        (Axis(label="", low=-0.4, high=27), ["0", "5", "10", "15", "20", "25"]),
        (Axis(label="", low=0, high=12_000), ["0", "2,000", "4,000", "6,000", "8,000", "10,000", "12,000"]),
        (Axis(label="", low=9e-5, high=4e-3, log=True), ["0.0001", "0.0003", "0.001", "0.003"]),
        (Axis(label="", low=9e-6, high=0.02, log=True), ["1e-05", "0.0001", "0.001", "0.01"]),
        (Axis(label="", low=0, high=1, names=[(0, "ce"), (1, "focal")]), ["ce", "focal"]),
    ],
)
def test_ticks_are_round_numbers_inside_of_the_axis(axis, texts):
    assert [text for _, text in axis.ticks()] == texts
    assert all(-1e-9 <= axis.place(value) <= 1 + 1e-9 for value, _ in axis.ticks())


def test_an_axis_holds_its_values_with_a_margin():
    axis = span("iou", [0.5, 0.7, float("nan")])
    assert (axis.low, axis.high, axis.log) == (pytest.approx(0.492), pytest.approx(0.708), False)


def test_values_over_a_decade_lie_on_a_log_axis():
    assert span("rate", [1e-4, 1e-2]).log
    assert not span("rate", [1e-4, 1e-2], log=False).log
    assert not span("rate", [0.0, 10.0]).log


@pytest.mark.parametrize("values", [[], [float("nan")], [0.0], [3.0, 3.0], [-1.0]])
def test_whatever_the_values_an_axis_has_two_ends(values):
    axis = span("iou", values)
    assert axis.low < axis.high
    assert axis.ticks()
