import pytest

from search.fetched import Fetched, encode_fetched, mark_fetched
from search.insight.answers import answer_choices, answer_questions, answer_stops
from search.insight.importance import CHANCE, Importance
from search.insight.stops import Stop, Stops
from search.memory.events import Asked, Closed, Ended, Epoch, Reopened, Restarted
from search.memory.history import History
from search.memory.outcome import Outcome
from segcore.config import TrainConfig

STOPPED = "stopped by ASHA"


@pytest.fixture
def history(make_trials) -> History:
    """Two backbones: two trials that finished, two that wait after epoch 1, one that diverged."""
    values = TrainConfig.from_values({"epochs": 4}).values()
    return make_trials(
        {"params": {"backbone": "resnet34"}, "ious": [0.1, 0.2, 0.3, 0.6], "values": values},
        {"params": {"backbone": "resnet34"}, "ious": [0.1, 0.2, 0.3, 0.5], "values": {**values, "batch_size": 2}},
        {"params": {"backbone": "resnet18"}, "ious": [0.1], "outcome": STOPPED, "values": values},
        {"params": {"backbone": "resnet18"}, "ious": [0.1], "outcome": STOPPED, "values": values},
        {"params": {"backbone": "resnet18"}, "ious": [], "outcome": "diverged", "values": values},
    )


def answers_of(record, importances=()) -> dict:
    return {answer.topic: answer for answer in answer_questions(record, importances)}


def importance(name: str, low: float, share: float, high: float) -> Importance:
    return Importance(name=name, share=share, low=low, high=high)


def test_all_six_questions_have_an_answer_and_say_how_sure_it_is(make_record, make_best, history):
    for record in (make_record(History("iou")), make_record(history), make_record(history, best=make_best())):
        answers = answer_questions(record, ())
        assert [each.topic for each in answers] == ["choices", "luck", "cost", "stops", "weakness", "use"]
        assert all(each.question.endswith("?") and each.sentence.endswith(".") for each in answers)
        assert all(each.certainty.endswith(".") for each in answers)


def test_choices_that_matter_are_told_with_what_stands_highest(make_record, history):
    found = [importance("backbone", 0.3, 0.5, 0.6), importance("loss", 0.0, 0.1, 0.2), importance(CHANCE, 0, 0.05, 0.1)]
    answer = answer_choices(make_record(history), found)
    assert answer.question == "Which backbone matters, which hyperparameters do?"
    assert answer.sentence == (
        "How trials rank is explained by backbone (50%). Of backbone, resnet34 ranks highest (2 trials, first in "
        "100% of resamples), then resnet18 (3)."
    )
    assert answer.certainty == (
        "Over resamples backbone 30% to 60%; a random number reaches up to 10%, so nothing is said of loss."
    )
    without = answer_choices(make_record(history), [found[0], found[2]]).certainty
    assert without.endswith("a random number reaches up to 10%.")


def test_the_backbone_is_told_of_even_where_nothing_can_be_told_from_chance(make_record, history):
    answer = answer_choices(
        make_record(history), [importance(CHANCE, 0, 0.2, 0.3), importance("backbone", 0, 0.1, 0.2)]
    )
    assert answer.sentence.startswith("No hyperparameter can be told from chance. Of backbone, resnet34 ranks highest")


def test_an_unconfirmed_winner_may_be_luck_and_the_command_says_how_to_know(make_record, make_best, history):
    answer = answers_of(make_record(history, best=make_best()))["luck"]
    assert answer.sentence.startswith("Nobody knows yet: trial 0 (")
    assert answer.sentence.endswith("is the best of 4 scores on fold 0 alone.")
    assert "0.6000 flatters" in answer.certainty
    assert "0.1000 ahead of the second" in answer.certainty
    assert answer.commands[0].startswith("python -m search confirm streets")


def test_only_what_can_be_confirmed_is_told_to_be(make_record, make_best, make_trials, history):
    """One of the two that have a score failed, so nobody is left to compare the winner with."""
    alone = make_trials({"ious": [0.6]}, {"ious": [0.7], "outcome": "failed"})
    assert answers_of(make_record(alone, best=make_best()))["luck"].commands == ()
    told = answers_of(make_record(history, best=make_best(), settings={"confirm": 0}))["luck"].commands[0]
    assert " confirm streets --top 3" in told


def test_a_search_that_goes_on_is_not_told_to_confirm(make_record, make_best, make_trials):
    running = make_trials({"ious": [0.6]}, {"ious": [0.5], "outcome": ""})
    assert answers_of(make_record(running, best=make_best()))["luck"].commands == ()


@pytest.mark.parametrize(
    ("rivals", "told", "command"),
    [
        ([], "No: it was trained anew, and stays ahead", ""),
        ([1], "It may be: others cannot be told from it", "confirm streets --folds 3"),
    ],
)
def test_a_confirmed_winner_is_luck_or_not_by_its_rivals(make_record, make_best, history, rivals, told, command):
    record = make_record(history, best=make_best(rivals=rivals), settings={"folds": 5})
    answer = answers_of(record)["luck"]
    assert answer.sentence.startswith(told)
    assert "(0.4000 to 0.6000 over images)" in answer.certainty
    assert command in " ".join(answer.commands)


def test_a_closer_look_leaves_out_no_rival_that_others_overtook(make_record, make_best, history):
    """Trial 2 is the third of the search, and two are confirmed since."""
    record = make_record(history, best=make_best(rivals=[2]), settings={"folds": 5, "confirm": 2})
    assert "confirm streets --top 3 --folds 3" in answers_of(record)["luck"].commands[0]


@pytest.mark.parametrize(
    ("division", "rounds", "told", "has_more"),
    [
        ({"folds": 5}, {"folds": [1]}, "on one further fold, and stays ahead", True),
        ({"folds": 2}, {"folds": [1]}, "on one further fold, and stays ahead", False),
        ({"split": "official", "folds": 1}, {"folds": [], "further_seeds": [1]}, "with one further seed", True),
    ],
)
def test_one_further_training_does_not_rule_luck_out(make_record, make_best, history, division, rounds, told, has_more):
    alone = answers_of(make_record(history, best=make_best(rivals=[], **rounds), settings=division))["luck"]
    assert alone.sentence.startswith(f"Probably not: it was trained anew {told}")
    assert alone.commands == (), "nobody is left to train it beside"
    beside = answers_of(make_record(history, best=make_best(rivals=[1], **rounds), settings=division))["luck"]
    assert [" confirm streets --folds 2 " in command for command in beside.commands] == [True] * has_more


def test_no_closer_look_is_offered_where_every_fold_was_looked_at(make_record, make_best, history):
    assert answers_of(make_record(history, best=make_best(rivals=[1])))["luck"].commands == ()


def test_cost_is_told_by_stage_with_what_was_spared(make_record, history):
    answer = answers_of(make_record(history, place={"gpus_per_trial": 36}))["cost"]
    # Ten seconds an epoch and one to end: 104 s of 36 GPUs; the last trial had no epoch.
    assert answer.sentence.startswith("1.05 GPU-hours (search 1.05) in 2 min on the clock")
    assert answer.sentence.endswith("ASHA spared 38% of the epochs that its trials would have taken.")
    measured = "Measured by the workers: training and validation, without their start"
    assert answer.certainty == f"{measured}; on average 1.0 trained at once."
    for event in (Restarted(trial=0, time=1105.0), Reopened(trial=2, time=1105.0)):
        history.apply(event)
    again = answers_of(make_record(history))["cost"].certainty
    assert again == f"{measured} and what 1 restart had trained again; on average 1.0 trained at once; it goes on."


def test_stops_are_told_with_their_epoch_what_went_on_and_what_failed(make_record, history):
    stops = Stops()
    stops.all = [Stop(trial=1, epoch=1, reason="rank 2 of 2", time=1, taken_up=2)]
    answer = answer_stops(make_record(history, stops=stops))
    assert answer.sentence == (
        "ASHA stopped 2 of 5 trials (2 after epoch 1): not among the best half there; 1 stopped trial went on later, "
        "promoted as others ended up behind; for good: 1 diverged."
    )
    assert answer.certainty == "Whether that was right nobody knows: only 2 trials ran to the end."
    none = answer_stops(make_record(History("iou")))
    assert none.sentence == "ASHA stopped no trial."
    assert none.certainty == "Whether that was right nobody knows: no trial has run to the end."


def test_how_far_early_ranks_agreed_with_the_end_says_whether_stops_were_right(make_record, make_trials):
    # Of six curves two change places after epoch 1: 14 of 15 pairs stand as in the end.
    curves = zip((0.1, 0.2, 0.4, 0.3, 0.5, 0.6), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), strict=True)
    history = make_trials(*({"ious": list(curve)} for curve in curves))
    answer = answer_stops(make_record(history))
    assert answer.certainty.startswith("Of 6 whole trainings, 93% of the pairs stood after epoch 1 as they did in the")


def test_a_finished_model_is_told_with_its_score_and_how_to_use_it(make_record, make_best, history):
    retraining, best = History("iou"), make_best(rivals=[])
    for fold, iou in enumerate((0.4, 0.6)):
        retraining.apply(Asked(trial=fold, fold=fold, values=best.values, params={}))
        retraining.apply(Epoch(trial=fold, epoch=1, metrics={"iou": iou}))
        retraining.apply(Ended(trial=fold, outcome=Outcome.FINISHED))
    retraining.apply(Closed(metrics={"iou": 0.51}, note=""))
    answer = answers_of(make_record(history, best=best, retraining=retraining))["use"]
    assert "models:/streets@champion in MLflow" in answer.sentence
    assert answer.certainty == (
        "Expect iou 0.5100 on images like these, from 0.4000 to 0.6000 over folds; together its networks were not "
        "scored."
    )
    assert [command.split()[2:4] for command in answer.commands] == [["segcore", "predict"], ["search", "fetch"]]


def test_a_model_in_a_bucket_is_fetched_before_it_is_used(make_record, make_best, history):
    retraining = History("iou")
    retraining.apply(Closed(metrics={"iou": 0.51}, note=""))
    record = make_record(history, best=make_best(), retraining=retraining)
    storage = record.folder.root.parent
    storage.mkdir()
    mark_fetched(storage, encode_fetched(Fetched(storage="s3://bucket/searches", stage="", seconds=0.0)))
    answer = answers_of(record)["use"]
    assert "It is one folder, s3://bucket/searches/streets/retrain/model, and" in answer.sentence
    assert answer.commands == (
        "python -m search fetch streets FOLDER --storage s3://bucket/searches",
        "python -m segcore predict FOLDER IMAGES OUT",
    )


def test_a_model_of_an_earlier_winner_is_called_so(make_record, make_best, history):
    retraining = History("iou")
    values = TrainConfig.from_values({"backbone": "resnet18"}).values()
    retraining.apply(Asked(trial=0, fold=0, values=values, params={}))
    retraining.apply(Closed(metrics={"iou": 0.51}, note=""))
    answer = answers_of(make_record(history, best=make_best(), retraining=retraining))["use"]
    away = "/streets/retrain away and retrain for the new one."
    assert "It is of an earlier winner: move /" in answer.certainty
    assert answer.certainty.endswith(away), "with its journal, which names whom it is of"


def test_a_value_of_a_single_trial_is_not_told_by_resamples_that_leave_it_out(make_record, make_trials):
    drawn = [("resnet34", 0.9), ("resnet18", 0.5), ("resnet18", 0.4), ("resnet50", 0.3), ("resnet50", 0.2)]
    history = make_trials(*({"params": {"backbone": name}, "ious": [iou]} for name, iou in drawn))
    told = answer_choices(make_record(history), ()).sentence
    assert "Of backbone, resnet34 ranks highest (1 trial, of too few trials to tell), then resnet18 (2)." in told
