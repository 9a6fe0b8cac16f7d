import json

import pytest

from search.insight.conditions import measure_conditions, read_classes
from search.memory.events import Closed, Ended
from search.memory.outcome import Outcome


def test_each_condition_is_scored_over_the_images_of_all_folds(retrained_record):
    night, day = measure_conditions(retrained_record).all
    assert (night.name, night.images, night.score) == ("night", 2, pytest.approx(0.2))
    assert (day.name, day.images, day.score) == ("day", 2, pytest.approx(0.8))
    # At night twice 5 of 20 pixels are car in truth and prediction, and signal is never right.
    assert night.class_ious == {"car": 0.25, "signal": 0.0}
    assert day.class_ious == {"car": pytest.approx(0.9), "signal": pytest.approx(10 / 11)}


def test_the_interval_is_over_blocks_of_images(retrained_record):
    night = measure_conditions(retrained_record).all[0]
    # Two blocks of one image: 0.1 from the mean each, so the standard error is 0.1; t with one degree is 12.706.
    assert night.interval.high - night.interval.estimate == pytest.approx(0.1 * 12.706, abs=1e-3)


def change_scores(record, **changes) -> None:
    """Change every image of every training of the retraining."""
    for file in record.folder.retrain_stage.root.glob("ray/*/scores.json"):
        file.write_text(json.dumps([{**entry, **changes} for entry in json.loads(file.read_text())]))


def test_a_class_that_no_image_of_a_condition_has_is_left_out_wherever_it_was_predicted(retrained_record):
    # Of five pixels of car two are taken for signal.
    change_scores(retrained_record, confusion=[[3, 2, 0], [0, 0, 0]])
    assert [each.class_ious for each in measure_conditions(retrained_record).all] == [{"car": 0.6}] * 2


def test_a_class_that_the_network_did_not_learn_is_left_out(retrained_record):
    retrained_record.retraining.apply(Closed(metrics={"iou": 0.5, "iou/signal": 0.5}, note=""))
    assert [each.class_ious for each in measure_conditions(retrained_record).all] == [
        {"signal": 0.0},
        {"signal": pytest.approx(10 / 11)},
    ]


def test_a_training_that_did_not_finish_is_left_out(retrained_record):
    retrained_record.retraining.apply(Ended(trial=1, outcome=Outcome.FAILED))
    found = measure_conditions(retrained_record).all
    assert [(each.images, each.score) for each in found] == [(1, 0.3), (1, 0.9)]


def test_an_image_that_several_seeds_scored_counts_once_with_its_mean(retrained_record):
    _, second = sorted(retrained_record.folder.retrain_stage.root.glob("ray/*/scores.json"))
    again = zip(json.loads(second.read_text()), ("a", "b", "e"), strict=True)
    second.write_text(json.dumps([{**entry, "name": name} for entry, name in again]))
    found = measure_conditions(retrained_record).all
    # At night (0.3 + 0.1) / 2, by day (0.9 + 0.7) / 2.
    assert [(each.images, each.score) for each in found] == [(1, pytest.approx(0.2)), (1, pytest.approx(0.8))]


def test_an_image_without_a_scored_class_has_no_score(retrained_record):
    first, second = sorted(retrained_record.folder.retrain_stage.root.glob("ray/*/scores.json"))
    first.write_text(json.dumps([{**entry, "iou": None} for entry in json.loads(first.read_text())]))
    found = measure_conditions(retrained_record).all
    assert [(each.name, each.images, each.score) for each in found] == [("night", 1, 0.1), ("day", 1, 0.7)]
    second.write_text(first.read_text())
    assert measure_conditions(retrained_record) is None


def test_of_one_condition_alone_nothing_is_told(retrained_record):
    change_scores(retrained_record, condition="night")
    assert measure_conditions(retrained_record) is None


def test_images_that_are_in_no_fold_have_a_score_and_no_interval(retrained_record):
    """As when a case was deleted from folds.json."""
    (file, *_) = sorted(retrained_record.folder.retrain_stage.root.glob("ray/*/scores.json"))
    file.write_text(json.dumps([{**each, "name": f"new {each['name']}"} for each in json.loads(file.read_text())]))
    found = measure_conditions(retrained_record).all
    assert [each.score for each in found] == [pytest.approx(0.2), pytest.approx(0.8)]
    assert all(each.interval is None for each in found)


def test_before_the_retraining_has_ended_nothing_is_told(retrained_record):
    retrained_record.retraining.closed = None
    assert measure_conditions(retrained_record) is None


def test_where_files_are_away_or_damaged_nothing_is_told(retrained_record):
    scores = retrained_record.folder.retrain_stage.root / "ray" / "1" / "scores.json"
    for damage in ("[{}]", "{", "[1]"):
        scores.write_text(damage)
        assert measure_conditions(retrained_record) is None
    scores.unlink()
    assert measure_conditions(retrained_record) is None
    (retrained_record.folder.model / "ensemble.json").write_text("[]")
    assert read_classes(retrained_record) is None
