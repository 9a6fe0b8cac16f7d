from dataclasses import replace

from search.insight.weakness_answer import answer_weakness
from search.memory.events import Asked, Ended, Epoch
from search.memory.history import History
from search.memory.outcome import Outcome


def test_the_worst_condition_asks_the_question(make_record, make_best):
    history = History("iou")
    history.apply(Asked(trial=0, fold=0, values={}, params={}))
    metrics = {"iou": 0.5, "iou_at/day": 0.6, "iou_at/night": 0.4, "iou/car": 0.7, "iou/signal": 0.2}
    history.apply(Epoch(trial=0, epoch=1, metrics=metrics))
    answer = answer_weakness(make_record(history, best=make_best()))
    assert answer.question == "What fails at night?"
    assert answer.sentence == (
        "iou is 0.400 at night, and 0.600 by day. The classes that fare worst are signal 0.200 and car 0.700."
    )
    assert answer.certainty.endswith("of one training: other images and seeds may turn it.")


def test_how_often_a_condition_is_behind_is_told_where_there_are_two(make_record, make_best):
    history, confirmation = History("iou"), History("iou")
    history.apply(Asked(trial=0, fold=0, values={}, params={}))
    for number, night in enumerate((0.4, 0.7)):
        confirmation.apply(Asked(trial=number, fold=number, values={}, params={}, source=0))
        metrics = {"iou": 0.5, "iou_at/day": 0.6, "iou_at/dusk": 0.58, "iou_at/night": night}
        confirmation.apply(Epoch(trial=number, epoch=1, metrics=metrics))
        confirmation.apply(Ended(trial=number, outcome=Outcome.FINISHED))
    record = make_record(history, confirmation=confirmation, best=make_best(rivals=[]))
    where = "Measured in the confirmation, in 2 trainings of the winner"
    # Means: night 0.55, dusk 0.58, day 0.6.
    assert answer_weakness(record).certainty == (
        f"{where}: night spreads from 0.400 to 0.700, and on 1 of 2 it is behind day."
    )
    for trial in confirmation.trials.values():
        for name in ("iou_at/day", "iou_at/dusk"):
            trial.epochs[1] = replace(
                trial.epochs[1], metrics={each: of for each, of in trial.epochs[1].metrics.items() if each != name}
            )
    assert answer_weakness(record).certainty == f"{where}."


def test_a_class_that_scores_nothing_may_be_in_no_image_and_hides_none_that_is(make_record, make_best):
    history = History("iou")
    history.apply(Asked(trial=0, fold=0, values={}, params={}))
    zeros = {f"iou/{name}": 0.0 for name in ("bus", "sky", "sign", "train", "wall")}
    history.apply(Epoch(trial=0, epoch=1, metrics={"iou": 0.5, "iou/car": 0.7, "iou/signal": 0.2, **zeros}))
    answer = answer_weakness(make_record(history, best=make_best()))
    assert answer.sentence == (
        "The classes that fare worst are signal 0.200 and car 0.700. No pixel of bus, sign, sky and 2 more was found, "
        "or no image there has one."
    )
    history.apply(Epoch(trial=0, epoch=1, metrics={"iou": 0.5, "iou/bus": 0.0}))
    answer = answer_weakness(make_record(history, best=make_best()))
    assert answer.sentence == "No pixel of bus was found, or no image there has one."
    history.apply(Epoch(trial=0, epoch=1, metrics={"iou": 0.5}))
    answer = answer_weakness(make_record(history, best=make_best()))
    assert answer.sentence == "One score, no classes or conditions."


def test_what_is_scored_tells_what_fails_at_night(retrained_record):
    answer = answer_weakness(retrained_record)
    assert answer.question == "What fails at night?"
    assert answer.sentence == (
        "iou is 0.200 (0.000 to 1.000 over other images) at night, and 0.800 by day; of what is scored, the worst at "
        "night: signal 0.000."
    )
    assert answer.certainty == (
        "Measured in the retraining on 2 images at night and 2 by day, each by a network that had not seen it."
    )


def test_of_trials_that_all_failed_the_first_says_why(make_record, make_trials):
    history = make_trials({"ious": [], "outcome": "failed"}, {"ious": [], "outcome": "diverged"})
    history.trials[0] = replace(history.trials[0], message="RuntimeError: no space left on device")
    answer = answer_weakness(make_record(history))
    assert answer.question == "What fails?"
    assert answer.sentence == "Nothing was scored yet. Trial 0, failed: RuntimeError: no space left on device."
    assert "status streets" in answer.commands[0]


def test_before_the_first_epoch_nothing_fails(make_record, make_trials):
    answer = answer_weakness(make_record(make_trials({"ious": [], "outcome": None})))
    assert (answer.sentence, answer.certainty) == ("Nothing was scored yet.", "The first epoch brings a score.")
    assert answer.commands == ()


def test_the_command_that_shows_errors_reads_the_data_as_the_search_did(retrained_record):
    place = retrained_record.place
    for layout, told in (("pairs", f"{place.data} errors.html --layout pairs"), ("", f"{place.data} errors.html")):
        (command,) = answer_weakness(replace(retrained_record, place=replace(place, layout=layout))).commands
        assert command.endswith(told)
