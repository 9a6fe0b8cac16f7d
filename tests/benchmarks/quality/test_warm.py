import numpy as np

from benchmarks.quality.arms import Ours
from benchmarks.quality.simulator import Run, Training
from benchmarks.quality.synthetic import FAMILIES, NARROW, Landscape
from benchmarks.quality.tables import Table
from benchmarks.quality.tasks import Curve
from benchmarks.quality.warm import list_best, make_warm_arm

RATES = np.linspace(0.1, 1.0, 10)


def training(rate: float, scores: list[float], epoch: int, *, out_of_memory: bool = False) -> Training:
    curve = Curve(scores=np.array(scores), seconds=np.ones(3), final=scores[-1], out_of_memory=out_of_memory)
    return Training(params={"rate": rate}, curve=curve, epoch=epoch)


def table(name: str, scores: np.ndarray) -> Table:
    return Table(f"made/{name}", {"rate": RATES}, np.stack([scores / 2, scores], axis=1), np.ones((10, 2)))


def test_best_of_a_search_are_those_with_the_highest_scores_that_it_saw():
    """The third gets better than all after what was seen of it, the second diverged, the last two were not seen."""
    run = Run(budget_seconds=9, workers=1)
    run.trainings = {
        0: training(0.1, [0.2, 0.4, 0.6], 3),
        1: training(0.2, [0.3, float("nan"), float("nan")], 2),
        2: training(0.3, [0.1, 0.5, 0.9], 1),
        3: training(0.4, [0.5, 0.6, 0.7], 2),
        4: training(0.5, [0.0, 0.0, 0.0], 0, out_of_memory=True),
        5: training(0.6, [0.9, 0.9, 0.9], 0),
    }
    assert list_best(run) == [{"rate": 0.1}, {"rate": 0.4}, {"rate": 0.3}]


def test_what_the_next_table_of_the_family_liked_is_tried_first():
    rising, falling = table("rising", RATES), table("falling", 1.1 - RATES)
    arm = make_warm_arm([rising, falling], workers=1, trainings=20)(falling, 0)
    assert falling.nearest(arm.ask()[1]) == 9, "the best of the rising table"


def test_earlier_search_is_one_of_the_same_parameters():
    """What a landscape of all parameters liked, one of three cannot draw."""
    whole, narrow = Landscape(FAMILIES[-1]), Landscape(NARROW[0])
    arm = make_warm_arm([whole, narrow], workers=1, trainings=3)
    assert arm(whole, 0).ask() == Ours(whole, 0).ask()


def test_table_that_is_alone_is_searched_as_if_for_the_first_time():
    alone = table("alone", RATES)
    assert make_warm_arm([alone], workers=1, trainings=3)(alone, 0).ask() == Ours(alone, 0).ask()
