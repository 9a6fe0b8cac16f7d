import pytest
from mlflow.utils.validation import _validate_metric_name

from search.tracking.names import best_key_of, clean_name, clean_text, describe_configuration, key_made_of, key_of

REFUSED = [
    "iou/car//van",
    "iou/..",
    "iou/.",
    "..",
    ".",
    "",
    "a/../b",
    "/iou",
    "iou/",
    "iou/a\x1b[31m",
    "iou/a\nb",
    "a\n",
    "iou/" + "x" * 300,
    "iou/" + "x" * 301,
    "iou/a(b)",
    "iou/a[b]",
    "iou/\ud800",
    "iou/a\\b",
    "../iou",
]
TAKEN = ["iou", "iou/car", "iou/Fußweg links", "train_loss", "iou/a.b-c:d", "iou/...", "x" * 250]


@pytest.mark.parametrize("name", TAKEN)
def test_name_that_mlflow_takes_stays(name):
    _validate_metric_name(name)
    assert clean_name(name) == name


@pytest.mark.parametrize("name", REFUSED)
def test_name_that_mlflow_refuses_becomes_one_that_it_takes(name):
    cleaned = clean_name(name)
    _validate_metric_name(cleaned)
    assert cleaned.isprintable() and len(cleaned) <= 250
    assert clean_name(cleaned) == cleaned


def test_names_that_differ_stay_different():
    names = [*REFUSED, *TAKEN, "iou/a{b}", "iou/a_b_", "iou/_", "iou/__"]
    assert len({clean_name(name) for name in names}) == len(names)


def test_text_is_cut_and_holds_nothing_that_no_database_takes():
    assert clean_text("a" * 6000, 6000) == "a" * 6000
    assert clean_text("a" * 6001, 6000) == "a" * 5999 + "\u2026"
    assert clean_text("a\x00b\ud800c", 10) == "a\ufffdb\ufffdc"


def test_metrics_of_classes_and_conditions_stand_in_sections_of_their_own():
    assert [key_of(name) for name in ("iou", "iou/car", "iou_at/night")] == ["iou", "class/car", "condition/night"]
    assert [best_key_of(metric) for metric in ("miou", "iou/car")] == ["miou_best", "iou_car_best"]
    assert key_made_of("confirmed_", "iou", "_low") == "confirmed_iou_low"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"backbone": "resnet34", "input_mode": "crop", "crop_size": 512}, "resnet34 crop512 ce+jaccard #17"),
        ({"backbone": "tf_mixnet_s", "input_mode": "resize", "scale": 0.5}, "mixnet_s resize0.5 ce+jaccard #17"),
        ({"backbone": "resnet34", "input_mode": "full", "crop_size": 512}, "resnet34 full ce+jaccard #17"),
    ],
)
def test_runs_are_called_by_their_configuration(values, name):
    assert describe_configuration({**values, "loss": "ce+jaccard"}, 17) == name
    assert describe_configuration({**values, "loss": "ce+jaccard"}, None) == name.removesuffix(" #17")
