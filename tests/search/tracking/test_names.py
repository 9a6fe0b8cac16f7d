import pytest
from mlflow.utils.validation import _validate_metric_name

from search.tracking.names import clean_name, clean_text

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
