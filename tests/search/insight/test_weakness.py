import pytest

from search.insight.weakness import find_weakness
from search.memory.events import Asked, Closed, Ended, Epoch
from search.memory.history import History
from search.memory.outcome import Outcome


def trained(
    *metrics: dict[str, float],
    source: int | None = None,
    values: dict[str, object] | None = None,
    closed: dict[str, float] | None = None,
) -> History:
    history = History("iou")
    for trial, each in enumerate(metrics):
        history.apply(Asked(trial=trial, fold=trial, values=values or {}, params={}, source=source))
        history.apply(Epoch(trial=trial, epoch=1, metrics=each))
        history.apply(Ended(trial=trial, outcome=Outcome.FINISHED))
    if closed is not None:
        history.apply(Closed(metrics=closed, note=""))
    return history


FOLDS = (
    {"iou": 0.5, "iou_at/day": 0.6, "iou_at/night": 0.4, "iou/car": 0.7, "iou/signal": 0.2},
    {"iou": 0.5, "iou_at/day": 0.5, "iou_at/night": 0.5, "iou/car": 0.9},
)


def names_of(parts) -> list[str]:
    return [part.name for part in parts]


def test_the_retraining_tells_it_over_all_images_together(make_record, make_best):
    # Over all images night has 0.46; the mean of both folds would be 0.45.
    pooled = {"iou": 0.5, "iou_at/day": 0.55, "iou_at/night": 0.46, "iou/car": 0.8, "iou/signal": 0.2}
    best = make_best()
    retraining = trained(*FOLDS, values=best.values, closed=pooled)
    record = make_record(trained({"iou": 0.6}), retraining=retraining, best=best, settings={"folds": 2})
    found = find_weakness(record)
    assert names_of(found.conditions) == ["night", "day"]
    night = found.conditions[0]
    assert (night.score, night.low, night.high) == (0.46, 0.4, 0.5)
    assert names_of(found.classes) == ["signal", "car"]
    assert (found.trainings, found.behind) == (2, 1), "of two folds night is behind day on one"
    assert "retraining, over 2 folds" in found.where


def test_before_it_the_confirmation_of_the_winner_does(make_record, make_best):
    confirmation = trained(*FOLDS, source=0)
    # That of another configuration, which is worse at night, tells nothing of the winner.
    confirmation.apply(Asked(trial=2, fold=1, values={}, params={}, source=1))
    confirmation.apply(Epoch(trial=2, epoch=1, metrics={"iou": 0.1, "iou_at/night": 0.1}))
    confirmation.apply(Ended(trial=2, outcome=Outcome.FINISHED))
    # Nor does one of the winner that failed.
    confirmation.apply(Asked(trial=3, fold=2, values={}, params={}, source=0))
    confirmation.apply(Epoch(trial=3, epoch=1, metrics={"iou": 0.1, "iou_at/night": 0.1}))
    confirmation.apply(Ended(trial=3, outcome=Outcome.FAILED))
    record = make_record(trained({"iou": 0.6}), confirmation=confirmation, best=make_best(rivals=[]))
    found = find_weakness(record)
    assert found.conditions[0].score == pytest.approx(0.45)
    assert "confirmation, in 2 trainings" in found.where


def test_a_retraining_that_is_not_done_tells_nothing_yet(make_record, make_best):
    best = make_best()
    record = make_record(trained(FOLDS[0]), retraining=trained(*FOLDS, values=best.values), best=best)
    assert "search's own fold" in find_weakness(record).where


def test_on_an_only_fold_the_retraining_is_over_seeds(make_record, make_best):
    best = make_best()
    for scores, told in ((FOLDS, "2 seeds"), (FOLDS[:1], "1 seed")):
        retraining = trained(*scores, values=best.values, closed={"iou": 0.5})
        record = make_record(
            trained({"iou": 0.6}), retraining=retraining, best=best, settings={"folds": 1, "split": "official"}
        )
        assert find_weakness(record).where == f"in the retraining, over {told}"


def test_the_worst_condition_is_held_against_the_best_of_all(make_record, make_best):
    metrics = {"iou": 0.5, "iou_at/day": 0.6, "iou_at/dusk": 0.5, "iou_at/night": 0.4, "iou_at/rain": 0.3}
    # On the third fold rain is behind dusk alone.
    other = {**metrics, "iou_at/day": 0.25, "iou_at/night": 0.2, "iou_at/rain": 0.25}
    # A fourth has neither rain nor day.
    confirmation = trained(metrics, metrics, other, {"iou": 0.5, "iou_at/dusk": 0.5}, source=0)
    found = find_weakness(make_record(trained({"iou": 0.6}), confirmation=confirmation, best=make_best(rivals=[])))
    # Means: rain 0.283, night 0.333, day 0.483, dusk 0.5.
    assert names_of(found.conditions) == ["rain", "night", "day", "dusk"]
    assert found.behind == 3


def test_the_retraining_of_an_earlier_winner_tells_nothing_of_this_one(make_record, make_best):
    retraining = trained(*FOLDS, values={"backbone": "resnet18"}, closed={"iou": 0.5})
    found = find_weakness(make_record(trained(FOLDS[0]), retraining=retraining, best=make_best()))
    assert "search's own fold" in found.where


def test_before_that_its_best_epoch_in_the_search_does(make_record, make_best):
    confirmation = trained(*FOLDS, source=0)  # which has not ended yet
    found = find_weakness(make_record(trained(FOLDS[0]), confirmation=confirmation, best=make_best()))
    assert (found.trainings, found.behind, found.conditions[0].name) == (1, 1, "night")
    assert "search's own fold" in found.where


def test_data_without_conditions_or_classes_has_none(make_record, make_best):
    found = find_weakness(make_record(trained({"iou": 0.6}), best=make_best()))
    assert (found.conditions, found.classes, found.behind) == ((), (), 0)


def test_without_a_winner_nothing_is_told(make_record):
    assert find_weakness(make_record(History("iou"))) is None
