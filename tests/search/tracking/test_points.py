import gc
import sys

from search.memory.events import Epoch
from search.tracking.points import Points


def test_what_decides_comes_first_as_mlflow_lists_it_then(make_trials, make_place):
    """MLflow lists a run's metrics in the order in which they first came, and a page begins with about fifteen."""
    (trial,) = make_trials({"ious": [0.5, 0.4]}).in_order
    event = Epoch(trial=0, epoch=2, metrics={"iou": 0.4, "iou/car": 0.3, "seconds": 9.0}, time=1.0)
    points = Points("iou", make_place()).take(event, trial)
    assert [(point.metric.key, point.metric.value) for point in points[:3]] == [
        ("iou_best", 0.5),
        ("iou", 0.4),
        ("class/car", 0.3),
    ]


def test_what_was_always_0_is_kept_back_in_little_memory_and_comes_whole_once_it_differs(make_trials, make_place):
    (trial,) = make_trials({"ious": [0.5] * 100}).in_order
    points = Points("iou", make_place())
    for epoch in range(1, 100):
        event = Epoch(trial=0, epoch=epoch, metrics={"iou": 0.5, "wait_share": 0.0}, time=float(epoch))
        assert "wait_share" not in [point.metric.key for point in points.take(event, trial)]
    kept = points._kept_back["wait_share"]
    assert sys.getsizeof(kept) < 99 * 32
    # It holds numbers, no object for each: at most its own type.
    assert len(gc.get_referents(kept)) <= 1
    last = Epoch(trial=0, epoch=100, metrics={"iou": 0.5, "wait_share": 0.25}, time=100.0)
    told = [point.metric for point in points.take(last, trial) if point.metric.key == "wait_share"]
    assert [(each.step, each.timestamp, each.value) for each in told[:2]] == [(1, 1000, 0.0), (2, 2000, 0.0)]
    assert [(each.step, each.timestamp, each.value) for each in told[98:]] == [(99, 99_000, 0.0), (100, 100_000, 0.25)]
