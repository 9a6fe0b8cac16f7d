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
