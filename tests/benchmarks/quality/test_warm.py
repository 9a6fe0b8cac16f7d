import numpy as np
import pytest

from benchmarks.quality.simulator import Run, Training
from benchmarks.quality.tables import Table
from benchmarks.quality.tasks import Curve
from benchmarks.quality.warm import Known, find_warm_arms, recall

RATES = np.linspace(0.1, 1.0, 10)


def training(rate: float, scores: list[float], epoch: int, *, out_of_memory: bool = False) -> Training:
    curve = Curve(scores=np.array(scores), seconds=np.ones(3), final=scores[-1], out_of_memory=out_of_memory)
    return Training(params={"rate": rate}, curve=curve, epoch=epoch)


def table(name: str, scores: np.ndarray) -> Table:
    return Table(f"made/{name}", {"rate": RATES}, np.stack([scores / 2, scores], axis=1), np.ones((10, 2)))


def test_best_of_a_search_and_how_its_trials_stand_are_known_of_what_it_saw():
    """The third is the best at its end, and was stopped after its first epoch; the last was not trained."""
    run = Run(budget_seconds=9, workers=1)
    run.trainings = {
        0: training(0.1, [0.2, 0.4, 0.6], 3),
        1: training(0.2, [0.3, float("nan"), float("nan")], 2),
        2: training(0.3, [0.1, 0.5, 0.9], 1),
        3: training(0.4, [0.5, 0.6, 0.7], 2),
        4: training(0.5, [0.0, 0.0, 0.0], 0, out_of_memory=True),
        5: training(0.6, [0.9, 0.9, 0.9], 0),
    }
    known = recall(run, epochs=3)
    # 0.6 after three epochs stands above 0.6 after two, and that above 0.1 after one; the two that failed share a half.
    assert known.best == [{"rate": 0.1}, {"rate": 0.4}, {"rate": 0.3}]
    assert known.trials == [
        ({"rate": 0.1}, 1.0),
        ({"rate": 0.2}, pytest.approx(0.125)),
        ({"rate": 0.3}, 0.5),
        ({"rate": 0.4}, 0.75),
        ({"rate": 0.5}, pytest.approx(0.125)),
    ]


def test_what_the_next_table_of_the_family_liked_is_tried_first():
    rising, falling = table("rising", RATES), table("falling", 1.1 - RATES)
    arms = find_warm_arms([rising, falling], workers=1, trainings=20)
    for make in arms.values():
        arm = make(falling, 0)
        assert falling.nearest(arm.ask()[1]) == 9, "the best of the rising table"


def test_table_that_is_alone_is_searched_as_if_for_the_first_time():
    arms = find_warm_arms([table("alone", RATES)], workers=1, trainings=3)
    assert set(arms) == {"ours+best", "ours+earlier"}
    assert recall(Run(budget_seconds=1, workers=1), epochs=3) == Known()
