"""Which metric decides, and what is refused because nothing would give it."""

from dataclasses import replace

import numpy as np
import pytest

from segcore.errors import ConfigError
from segcore.scoring.objective import (
    METRICS,
    counted_classes,
    default_objective,
    describe_unknown,
    learns_every_class,
    require_counted,
    require_learnt,
    require_metric,
)

# The classes of conftest: road, car, person, sky; car and person are scored.


def test_layout_chooses_unless_another_is_asked_for():
    assert (default_objective("contest"), default_objective("pairs"), default_objective("voc")) == (
        "iou",
        *["miou"] * 2,
    )


@pytest.mark.parametrize("metric", [*METRICS, "iou/car", "iou/iou", "iou/a/b"])
def test_name_of_a_metric_has_no_fault(metric):
    assert describe_unknown(metric) == ""


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("mIoU", "; use miou or iou"),
        ("miou-scored", "; use miou_scored"),
        ("boundary", "; use boundary_iou"),
        ("iou/", "; use iou or miou"),
        ("accuracy", "use iou, miou, miou_scored, boundary_iou or iou/CLASS"),
        ("", "use iou, miou"),
    ],
)
def test_unknown_metric_is_told_with_its_neighbours(metric, said):
    assert said in describe_unknown(metric)


def test_unknown_class_is_refused_with_its_neighbours(classes):
    require_metric("iou/person", classes)
    with pytest.raises(ConfigError, match=r"^--objective iou/persn: the data has no class 'persn'; did you mean pers"):
        require_metric("iou/persn", classes)
    with pytest.raises(ConfigError, match=r"no class 'xyz'; use one of road, car, person, sky\."):
        require_metric("iou/xyz", classes)
    with pytest.raises(ConfigError, match=r"^--objective mIoU: this is no metric"):
        require_metric("mIoU", classes)


def test_classes_that_each_metric_counts(classes):
    counted = {metric: counted_classes(metric, classes) for metric in (*METRICS, "iou/sky")}
    assert counted == {
        "iou": (1, 2), "miou": (0, 1, 2, 3), "miou_scored": (1, 2), "boundary_iou": (0, 1, 2, 3), "iou/sky": (3,),
    }  # fmt: skip


@pytest.mark.parametrize("metric", ["miou", "boundary_iou", "iou/sky"])
def test_network_of_the_scored_classes_never_reports_what_counts_others(metric, classes):
    require_learnt(metric, "full", classes)
    with pytest.raises(ConfigError, match=r"labels=scored: .* counts (road, )?sky; use --set labels=full"):
        require_learnt(metric, "scored", classes)


def test_network_of_the_scored_classes_reports_every_metric_where_all_are_scored(classes):
    all_scored = replace(classes, scored=classes.names)
    assert learns_every_class("scored", all_scored)
    # The background is the sky then.
    assert learns_every_class("scored", replace(classes, scored=("road", "car", "person")))
    assert not learns_every_class("scored", classes)
    for metric in (*METRICS, "iou/sky"):
        require_learnt(metric, "scored", all_scored)
    for metric in ("iou", "miou_scored", "iou/person"):
        require_learnt(metric, "scored", classes)


def test_fold_without_a_pixel_of_what_counts_is_refused(classes):
    pixels_C = np.array([100, 5, 0, 0])
    for metric in (*METRICS, "iou/car"):
        require_counted(metric, pixels_C, classes, 2)
    with pytest.raises(ConfigError, match=r"--objective iou/sky: fold 2 has no pixel of sky, .* another with --fold"):
        require_counted("iou/sky", pixels_C, classes, 2)
    for metric in ("iou", "miou_scored"):
        with pytest.raises(ConfigError, match="has no pixel of car, person"):
            require_counted(metric, np.array([100, 0, 0, 7]), classes, 0)
