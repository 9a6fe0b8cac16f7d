import math
from dataclasses import replace

import pytest

from search.memory.events import Asked, Ended, Epoch
from search.memory.history import History
from search.memory.outcome import Outcome
from search.verdict.race import decide

BLOCKS = {f"{fold}{image}": f"{fold}{image}" for fold in range(7) for image in "abcdefgh"}


class Race:
    """Writes the journals of a search with given scores and of its confirmation."""

    def __init__(self, script, settings) -> None:
        self.script = script
        self.settings = settings
        self.search = History("iou")

    def searched(self, *ious: float, epochs: int = 1, schedule: str = "onecycle", outcome: str = "finished") -> None:
        for number, iou in enumerate(ious):
            values = {"rate_schedule": schedule, "epochs": epochs, "seed": 0}
            self.search.apply(Asked(trial=number, fold=0, values=values, params={}))
            self.search.apply(Epoch(trial=number, epoch=epochs, metrics={"iou": iou}))
            self.search.apply(Ended(trial=number, outcome=Outcome(outcome)))

    def trained(
        self, source: int, fold: int, *ious: float, outcome: str = "finished", message: str = "", step: float = 0.01
    ) -> None:
        number, write = len(self.script.journal.history.trials), self.script.write
        values = self.search.trials[source].values
        write("asked", trial=number, fold=fold, values=values, params={}, source=source)
        for epoch, iou in enumerate(ious, start=1):
            # Images differ by up to four steps around the fold's score, alike for all configurations.
            images = {f"{fold}{image}": iou + step * (rank - 3.5) for rank, image in enumerate("abcdefgh")}
            metrics = {} if math.isnan(iou) else {"iou": iou}
            write("epoch", trial=number, epoch=epoch, metrics=metrics, image_scores=None if math.isnan(iou) else images)
        if outcome:
            self.script.end(number, outcome, message)

    def decide(self):
        return decide(self.search.in_order, self.script.journal.history, self.settings, BLOCKS)


@pytest.fixture
def race(script, make_settings) -> Race:
    return Race(script, make_settings(confirm=3, confirm_folds=2, folds=7))


def test_every_candidate_is_trained_on_the_first_further_fold(race):
    race.searched(0.8, 0.7, 0.6)
    decision = race.decide()
    assert decision.pending == ((0, 1), (1, 1), (2, 1))
    assert decision.winner is None


def test_what_has_ended_is_not_asked_for_again_and_what_runs_is_waited_for(race):
    race.searched(0.8, 0.7, 0.6)
    race.trained(0, 1, 0.7)
    race.trained(1, 1, 0.7, outcome="")
    assert race.decide().pending == ((1, 1), (2, 1))


def test_clear_loser_is_not_trained_on_the_next_fold(race):
    """On the same images it is 0.2 behind with no spread; the third is 0.02 behind, which training luck may be."""
    race.searched(0.8, 0.7, 0.6)
    for source, iou in enumerate((0.70, 0.50, 0.68)):
        race.trained(source, 1, iou)
    decision = race.decide()
    assert decision.pending == ((0, 2), (2, 2))
    (loser,) = [each for each in decision.contenders if each.dismissed]
    assert loser.trial == 1
    assert loser.dismissed == (
        "worse by 0.2000 to 0.2000 iou over images, where other images may change 0.0205, than trial 0 after 1 fold"
    )


@pytest.mark.parametrize(
    ("step", "behind", "stays"),
    [
        (0.1, 0.2, True),
        (0.1, 0.21, False),
        (0.01, 0.02, True),
        (0.01, 0.021, False),
        (0.0005, 0.0010, True),
        (0.0005, 0.0011, False),
    ],
)
def test_how_far_behind_is_too_far_is_measured_by_the_datas_own_spread(race, step, behind, stays):
    """Eight images, each a block, stand off their mean by 0.5, 1.5, 2.5 and 3.5 steps, twice each: squares of 42 steps.

    Error of the leader's mean: sqrt(42 / 8² · 8 / 7) = 0.866 steps; t(0.975, 7) = 2.36462; half the interval 2.0478.
    """
    race.searched(0.8, 0.7)
    race.trained(0, 1, 0.5, step=step)
    race.trained(1, 1, 0.5 - behind, step=step)
    assert bool(race.decide().pending) is stays


def test_race_ends_early_when_one_is_left(race):
    race.searched(0.8, 0.7, 0.6)
    race.trained(0, 1, outcome="failed")
    for source, iou in ((1, 0.7), (2, 0.5)):
        race.trained(source, 1, iou)
    decision = race.decide()
    assert (decision.pending, decision.folds) == ((), (1,))
    # Who has no score is behind all who have one.
    assert [each.trial for each in decision.contenders] == [1, 2, 0]
    assert decision.rivals == []


def test_winner_has_the_highest_mean_over_further_folds_and_rivals_are_named(race):
    race.searched(0.8, 0.75, 0.74)
    for source, ious in enumerate(((0.70, 0.66), (0.71, 0.69), (0.69, 0.68))):
        for fold, iou in enumerate(ious, start=1):
            race.trained(source, fold, iou)
    decision = race.decide()
    assert decision.folds == (1, 2)
    assert [each.trial for each in decision.contenders] == [1, 2, 0]  # 0.70, 0.685, 0.68
    assert [each.trial for each in decision.rivals] == [2, 0]
    assert decision.optimism == pytest.approx(0.75 - 0.70)
    assert decision.winner.interval.estimate == pytest.approx(0.70)
    assert decision.winner.interval.low < 0.70 < decision.winner.interval.high
    second = decision.contenders[1].difference
    assert second.estimate == pytest.approx(-0.015)
    assert second.low < 0 < second.high


def test_loser_by_the_interval_over_folds_is_dismissed_after_the_second_fold(race):
    """Differences of -0.020 and -0.021: hardly any spread."""
    race.searched(0.8, 0.75)
    for source, ious in enumerate(((0.70, 0.600), (0.68, 0.579))):
        for fold, iou in enumerate(ious, start=1):
            race.trained(source, fold, iou)
    (loser,) = [each for each in race.decide().contenders if each.dismissed]
    # Rest 0.001² / 4 at 1 degree: error sqrt(2 · 2.5e-7 · (1/2 + 1/6)) = 0.000577; half 12.7062 times that, 0.0073.
    assert loser.dismissed == "worse by 0.0132 to 0.0278 iou than trial 0 after 2 folds"


@pytest.mark.parametrize(("outcome", "message"), [("failed", "no disk"), ("diverged", "NaN"), ("out of memory", "8")])
def test_training_that_failed_dismisses_its_configuration_with_the_reason(race, outcome, message):
    race.searched(0.8, 0.75, 0.74)
    # What it reached before it failed is no score of the whole training.
    # Of a traceback the last line tells.
    race.trained(0, 1, 0.9, outcome=outcome, message=f"Traceback:\n  ...\n{message}\n")
    race.trained(1, 1, 0.6)
    race.trained(2, 1, 0.6)
    decision = race.decide()
    assert decision.pending == ((1, 2), (2, 2))
    assert decision.contenders[-1].dismissed == f"its training on fold 1 has no score ({outcome}: {message})"


def test_when_every_training_failed_there_is_no_winner(race):
    race.searched(0.8, 0.75)
    for source in range(2):
        race.trained(source, 1, outcome="failed")
    decision = race.decide()
    assert (decision.winner, decision.pending, decision.epochs) == (None, (), None)


def test_schedule_laid_out_over_the_epochs_is_scored_and_retrained_at_their_end(race):
    race.searched(0.8, 0.75, epochs=3, schedule="cosine")
    race.trained(0, 1, 0.5, 0.9, 0.7)
    race.trained(1, 1, 0.5, 0.5, 0.5)
    decision = race.decide()
    assert decision.winner.fold_scores == {1: 0.7}
    assert decision.epochs == 3


def test_other_schedules_take_the_epochs_from_the_other_folds(race):
    """Best epochs of trial 0: the search 3, fold 1 two, fold 2 one."""
    race.searched(0.8, 0.2, epochs=3, schedule="constant")
    race.trained(0, 1, 0.60, 0.90, 0.70)
    race.trained(0, 2, 0.95, 0.65, 0.75)
    for fold in (1, 2):
        race.trained(1, fold, 0.55, 0.6, 0.68)
    decision = race.decide()
    # Fold 1 at the median of 1 and 3, epoch 2; fold 2 at the median of 2 and 3, 2.5, rounded to even.
    assert decision.winner.fold_scores == {1: 0.90, 2: 0.65}
    assert decision.epochs == 2  # the median of 2 and 1, 1.5, rounded to even


def test_epochs_of_a_training_that_failed_say_nothing(race):
    """Trial 0 is scored on fold 1 at the search's best epoch, 3; the failed one's would make that epoch 2."""
    race.searched(0.8, 0.75, epochs=3, schedule="constant")
    race.trained(0, 1, 0.6, 0.9, 0.7)
    race.trained(0, 2, 0.5, 0.1, outcome="failed")
    for fold in (1, 2):
        race.trained(1, fold, 0.6, 0.6, 0.69)
    decision = race.decide()
    assert {each.trial: each.fold_scores for each in decision.contenders} == {1: {1: 0.69, 2: 0.69}, 0: {1: 0.7}}


def test_epochs_of_a_trial_that_asha_stopped_say_nothing(race):
    race.searched(0.8, 0.2, epochs=1, schedule="constant", outcome="stopped by ASHA")
    race.trained(0, 1, 0.60, 0.70, 0.90)
    race.trained(1, 1, 0.1, 0.1, 0.1)
    decision = race.decide()
    assert decision.winner.fold_scores == {1: 0.90}, "its last epoch, since no other fold has a best one"
    assert decision.epochs == 3


def test_configurations_without_scores_of_images_are_raced_on(race):
    race.searched(0.8, 0.75)
    race.trained(0, 1, 0.9)
    race.trained(1, 1, 0.1)
    for trial in race.script.journal.history.trials.values():
        for record in trial.epochs.values():
            object.__setattr__(record, "image_scores", None)
    decision = race.decide()
    assert decision.pending == ((0, 2), (1, 2))
    assert decision.contenders[0].interval is None


def test_images_of_one_fold_of_two_say_nothing_of_both(race):
    """Of the second fold no scores of images are known, as of trainings by an older version."""
    race.searched(0.8, 0.75)
    for fold in (1, 2):
        for trial in (0, 1):
            race.trained(trial, fold, 0.70 - 0.02 * trial)
    for training in race.script.journal.history.in_order[2:]:
        for record in training.epochs.values():
            object.__setattr__(record, "image_scores", None)
    decision = race.decide()
    assert (decision.pending, decision.folds) == ((), (1, 2))
    assert [(each.interval, each.image_difference) for each in decision.contenders] == [(None, None)] * 2


def test_training_without_a_score_at_its_epoch_dismisses_its_configuration(race):
    """Trial 0's last epoch, at which it is scored, has none, though an earlier one has."""
    race.searched(0.8, 0.75, epochs=2, schedule="cosine")
    race.trained(0, 1, 0.6, float("nan"))
    race.trained(1, 1, 0.5, 0.5)
    decision = race.decide()
    assert decision.winner.trial == 1
    assert decision.contenders[-1].dismissed == "its training on fold 1 has no score (finished)"


def test_earlier_fold_whose_epoch_has_no_score_any_more_dismisses_its_configuration(race):
    """Trial 0 was scored on fold 1 at the search's best epoch, 3; with fold 2's, 1, it would be epoch 2."""
    race.searched(0.8, 0.75, epochs=3, schedule="constant")
    race.trained(0, 1, 0.6, float("nan"), 0.6)
    race.trained(0, 2, 0.9, 0.6, 0.6)
    for fold in (1, 2):
        race.trained(1, fold, 0.6, 0.6, 0.6)
    decision = race.decide()
    assert (decision.winner.trial, decision.folds) == (1, (1, 2))
    assert decision.contenders[-1].dismissed == "its training on fold 1 has no score (finished)"


def test_where_nobody_has_a_score_on_every_fold_any_more_nobody_wins(race):
    """Trial 0 loses its score on fold 1 as above, and trial 1 fails on fold 2."""
    race.searched(0.8, 0.75, epochs=3, schedule="constant")
    race.trained(0, 1, 0.6, float("nan"), 0.6)
    race.trained(0, 2, 0.9, 0.6, 0.6)
    race.trained(1, 1, 0.6, 0.6, 0.6)
    race.trained(1, 2, outcome="failed")
    decision = race.decide()
    assert (decision.winner, decision.folds, decision.pending) == (None, (1, 2), ())


def test_race_ends_before_a_fold_on_which_nobody_has_a_score(race):
    race.searched(0.8, 0.75)
    race.trained(0, 1, 0.6)
    race.trained(1, 1, 0.61)
    for source in range(2):
        race.trained(source, 2, float("nan"))
    decision = race.decide()
    assert (decision.winner.trial, decision.folds, decision.pending) == (1, (1,), ())
    assert [each.trial for each in decision.rivals] == [0]


def test_doubt_after_one_fold_is_that_another_training_may_turn_it(race):
    """0.02 behind with no spread: the interval over images excludes 0, and yet the two cannot be told apart."""
    race.searched(0.8, 0.75)
    race.settings = replace(race.settings, confirm_folds=1)
    race.trained(0, 1, 0.70)
    race.trained(1, 1, 0.68)
    first, second = race.decide().contenders
    assert second.image_difference.high < 0
    assert second.doubt.startswith("behind on these images, but another training or fold may turn that")
    assert (first.doubt, second.dismissed) == ("", "")


def test_doubt_after_two_folds_is_that_they_are_few(race):
    """Behind by 0.02 and 0.01 on every image; over two folds t(0.975, 1) = 12.7 makes that nothing."""
    race.searched(0.8, 0.75)
    for fold, behind in ((1, 0.02), (2, 0.01)):
        race.trained(0, fold, 0.70)
        race.trained(1, fold, 0.70 - behind)
    second = race.decide().contenders[1]
    assert second.image_difference.high < 0 < second.difference.high
    assert second.doubt == "behind on these images, but over so few folds the difference may be chance"


def test_doubt_that_comes_of_several_comparisons_says_so(race):
    """Rows 0.70, 0.72; 0.65, 0.68; 0.649, 0.66: each is behind alone, and of two one may look so by chance.

    Means of rows 0.71, 0.665, 0.6545, of folds 0.66633 and 0.68667, of all 0.6765. Residuals of fold 1: 0.00017,
    -0.00483, 0.00467; squares of both folds 9.033e-5, variance at 2 degrees of freedom 4.517e-5. Error of a difference
    sqrt(2 · 4.517e-5 · (1/2 + 1/6)) = 0.00776. t(0.975, 2) = 4.3027: 0.0334; t(0.9875, 2) = 6.2053: 0.0482.
    Behind by 0.045 and 0.0555: the second is told apart, the first would be alone.
    """
    race.searched(0.8, 0.75, 0.74)
    for source, ious in enumerate(((0.70, 0.72), (0.65, 0.68), (0.649, 0.66))):
        for fold, iou in enumerate(ious, start=1):
            race.trained(source, fold, iou, step=0.1)
    decision = race.decide()
    assert [each.trial for each in decision.rivals] == [1]
    assert decision.rivals[0].difference.high == pytest.approx(-0.045 + 0.0482, abs=1e-4)
    assert decision.rivals[0].doubt == (
        "it would be behind were it the only comparison, but of 2 one may look so by chance"
    )


def test_doubt_where_nothing_is_behind_and_where_nothing_is_known(race):
    race.searched(0.8, 0.75)
    race.settings = replace(race.settings, confirm_folds=1)
    race.trained(0, 1, 0.70)
    race.trained(1, 1, 0.70)
    assert race.decide().contenders[1].doubt == "the difference may be 0"
    for trial in race.script.journal.history.trials.values():
        for record in trial.epochs.values():
            object.__setattr__(record, "image_scores", None)
    assert race.decide().contenders[1].doubt == "too few scores"


def test_best_of_several_says_how_much_it_flatters_at_most(race):
    race.searched(0.8, 0.75, 0.74)
    race.settings = replace(race.settings, folds=3)
    for source, ious in enumerate(((0.60, 0.70), (0.59, 0.71), (0.605, 0.695))):
        for fold, iou in enumerate(ious, start=1):
            race.trained(source, fold, iou, step=0.1)
    decision = race.decide()
    # Residuals of fold 1: means of rows 0.65, of folds 0.59833 and 0.70167: 0.00167, -0.00833, 0.00667; squares of both
    # folds 2.333e-4 at 2 degrees of freedom. Spread of a mean sqrt(1.1667e-4 · (1/2 + 1/2)) = 0.010801; the best of
    # three normal draws is 3 / (2 sqrt(pi)) = 0.846284 above: 0.009141.
    assert decision.scored == 3
    assert decision.choice_bias == pytest.approx(0.009141, abs=1e-6)


def test_race_is_run_in_the_metric_that_decides_and_tells_it_by_its_name(race, make_settings):
    race.settings = make_settings(objective="miou", confirm=2, confirm_folds=1)
    race.search = History("miou")
    for number, miou in enumerate((0.8, 0.7)):
        race.search.apply(Asked(trial=number, fold=0, values={"rate_schedule": "onecycle", "epochs": 1}, params={}))
        race.search.apply(Epoch(trial=number, epoch=1, metrics={"iou": 1 - miou, "miou": miou}))
        race.search.apply(Ended(trial=number, outcome=Outcome.FINISHED))
    trainings = History("miou")
    for number, miou in enumerate((0.7, 0.4)):
        # Numbers by image whose mean is the miou, as `divide_metric` gives them.
        shares = {f"1{image}": miou + 0.01 * (rank - 3.5) for rank, image in enumerate("abcdefgh")}
        values = race.search.trials[number].values
        trainings.apply(Asked(trial=number, fold=1, values=values, params={}, source=number))
        metrics = {"iou": 1 - miou, "miou": miou}
        trainings.apply(Epoch(trial=number, epoch=1, metrics=metrics, image_scores=shares))
        trainings.apply(Ended(trial=number, outcome=Outcome.FINISHED))
    decision = decide(race.search.in_order, trainings, race.settings, BLOCKS)
    assert decision.winner.trial == 0
    assert (decision.winner.search_score, decision.winner.fold_scores) == (0.8, {1: 0.7})
    assert decision.contenders[1].dismissed.startswith("worse by 0.3000 to 0.3000 miou over images")


def test_images_of_the_only_fold_are_no_others_with_another_seed(script, make_settings):
    """Eight images, each a block: the interval of the leader's mean is as wide with two seeds as with one."""
    settings = make_settings(confirm=2, confirm_folds=2, split="official", folds=1)
    race = Race(script, settings)
    race.searched(0.8, 0.7)
    for number, (source, seed, iou) in enumerate(((0, 1, 0.7), (1, 1, 0.7), (0, 2, 0.7), (1, 2, 0.69))):
        values = {**race.search.trials[source].values, "seed": seed}
        images = {f"0{image}": iou + 0.01 * (rank - 3.5) for rank, image in enumerate("abcdefgh")}
        script.write("asked", trial=number, fold=0, values=values, params={}, source=source)
        script.write("epoch", trial=number, epoch=1, metrics={"iou": iou}, image_scores=images)
        script.end(number)
    decision = race.decide()
    assert (decision.pending, decision.folds, decision.winner.trial) == ((), (1, 2), 0)
    # As worked out above for steps of 0.01: 2.0478 steps to each side.
    interval = decision.winner.interval
    assert (interval.high - interval.low) / 2 == pytest.approx(0.020478, rel=1e-4)
    assert decision.contenders[1].fold_scores == {1: 0.7, 2: 0.69}


def test_training_without_a_score_is_named_by_its_seed(script, make_settings):
    race = Race(script, make_settings(confirm=2, confirm_folds=1, split="official", folds=1))
    race.searched(0.8, 0.7)
    for number, iou in enumerate((0.7, math.nan)):
        values = {**race.search.trials[number].values, "seed": 1}
        script.write("asked", trial=number, fold=0, values=values, params={}, source=number)
        script.write("epoch", trial=number, epoch=1, metrics={} if math.isnan(iou) else {"iou": iou})
        script.end(number)
    (loser,) = [each for each in race.decide().contenders if each.dismissed]
    assert loser.dismissed == "its training with seed +1 has no score (finished)"


def test_who_was_overtaken_races_with_what_it_has_and_is_trained_no_more(race, make_settings):
    race.settings = make_settings(confirm=2, confirm_folds=2, folds=7)
    race.searched(0.8, 0.7, 0.6, 0.5)
    for source, iou in enumerate((0.70, 0.69, 0.71, 0.705)):
        race.trained(source, 1, iou)
    assert race.decide().pending == ((0, 2), (1, 2))
    for source, iou in enumerate((0.70, 0.69, 0.71)):
        race.trained(source, 2, iou)
    race.trained(3, 2, outcome="")
    decision = race.decide()
    assert (decision.pending, decision.winner.trial) == ((), 2)
    assert {each.trial: list(each.fold_scores.values()) for each in decision.contenders} == {
        0: [0.70, 0.70],
        1: [0.69, 0.69],
        2: [0.71, 0.71],
        3: [0.705],
    }
    dismissed = {each.trial: each.dismissed for each in decision.contenders if each.dismissed}
    assert dismissed[3] == "others overtook it in the search before it was trained on fold 2"
