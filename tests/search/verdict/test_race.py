import pytest

from search.memory.history import History
from search.verdict.race import decide, further_folds

BLOCKS = {f"{fold}{image}": f"{fold}{image}" for fold in range(7) for image in "abcdefgh"}


class Race:
    """Writes the journals of a search with given scores and of its confirmation."""

    def __init__(self, script, settings) -> None:
        self.script = script
        self.settings = settings
        self.search = History()

    def searched(self, *ious: float, epochs: int = 1, schedule: str = "onecycle", outcome: str = "finished") -> None:
        for number, iou in enumerate(ious):
            values = {"rate_schedule": schedule, "epochs": epochs}
            asked = {"event": "asked", "trial": number, "fold": 0, "values": values, "params": {}, "time": 0.0}
            report = {"trial": number, "epoch": epochs, "metrics": {"iou": iou}, "picture": None, "verdict": ""}
            self.search.apply(asked)
            self.search.apply({"event": "epoch", "time": 0.0, **report})
            self.search.apply({"event": "ended", "trial": number, "outcome": outcome, "message": "", "time": 0.0})

    def trained(self, source: int, fold: int, *ious: float, outcome: str = "finished", message: str = "") -> None:
        number, write = len(self.script.journal.history.trials), self.script.journal.write
        values = self.search.trials[source].values
        write("asked", {"trial": number, "fold": fold, "values": values, "params": {}, "source": source})
        for epoch, iou in enumerate(ious, start=1):
            # Images differ by up to 0.04 around the fold's score, alike for all configurations.
            images = {f"{fold}{image}": iou + 0.01 * (rank - 3.5) for rank, image in enumerate("abcdefgh")}
            report = {"trial": number, "epoch": epoch, "metrics": {"iou": iou}, "picture": None, "verdict": ""}
            write("epoch", {**report, "image_ious": images})
        if outcome:
            self.script.end(number, outcome, message)

    def decide(self):
        return decide(self.search.in_order, self.script.journal.history, self.settings, BLOCKS)


@pytest.fixture
def race(script, make_settings) -> Race:
    return Race(script, make_settings(confirm=3, confirm_folds=2, folds=7))


@pytest.mark.parametrize(
    ("changes", "folds"),
    [({}, [1, 2]), ({"fold": 6}, [0, 1]), ({"fold": 1, "folds": 3, "confirm_folds": 9}, [2, 0]), ({"folds": 2}, [1])],
)
def test_further_folds_are_never_the_searchs_own_and_never_more_than_exist(make_settings, changes, folds):
    assert further_folds(make_settings(**changes)) == folds


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
    (loser,) = [standing for standing in decision.standings if standing.dismissed]
    assert loser.trial == 1
    assert "worse by more than 0.03 iou (0.2000 to 0.2000 over images) than trial 0 after 1 fold(s)" in loser.dismissed


def test_race_ends_early_when_one_is_left(race):
    race.searched(0.8, 0.7, 0.6)
    for source, iou in enumerate((0.5, 0.7, 0.5)):
        race.trained(source, 1, iou)
    decision = race.decide()
    assert (decision.pending, decision.folds) == ((), (1,))
    assert decision.winner.trial == 1
    assert decision.rivals == []


def test_winner_has_the_highest_mean_over_further_folds_and_rivals_are_named(race):
    race.searched(0.8, 0.75, 0.74)
    for source, ious in enumerate(((0.70, 0.66), (0.71, 0.69), (0.69, 0.68))):
        for fold, iou in enumerate(ious, start=1):
            race.trained(source, fold, iou)
    decision = race.decide()
    assert decision.folds == (1, 2)
    assert [standing.trial for standing in decision.standings] == [1, 2, 0]  # 0.70, 0.685, 0.68
    assert [standing.trial for standing in decision.rivals] == [2, 0]
    assert decision.optimism == pytest.approx(0.75 - 0.70)
    assert decision.winner.interval.estimate == pytest.approx(0.70)
    assert decision.winner.interval.low < 0.70 < decision.winner.interval.high
    second = decision.standings[1].difference
    assert second.estimate == pytest.approx(-0.015)
    assert second.low < 0 < second.high


def test_loser_by_the_interval_over_folds_is_dismissed_after_the_second_fold(race):
    """Differences of -0.020 and -0.021: hardly any spread."""
    race.searched(0.8, 0.75)
    for source, ious in enumerate(((0.70, 0.600), (0.68, 0.579))):
        for fold, iou in enumerate(ious, start=1):
            race.trained(source, fold, iou)
    (loser,) = [standing for standing in race.decide().standings if standing.dismissed]
    # Rest 0.001² / 4 at 1 degree: error sqrt(2 · 2.5e-7 · (1/2 + 1/6)) = 0.000577; half 12.7062 times that, 0.0073.
    assert loser.dismissed == "worse by 0.0132 to 0.0278 iou than trial 0 after 2 fold(s)"


@pytest.mark.parametrize(("outcome", "message"), [("failed", "no disk"), ("diverged", "NaN"), ("out of memory", "8")])
def test_training_that_failed_dismisses_its_configuration_with_the_reason(race, outcome, message):
    race.searched(0.8, 0.75, 0.74)
    race.trained(0, 1, outcome=outcome, message=message)
    race.trained(1, 1, 0.6)
    race.trained(2, 1, 0.6)
    decision = race.decide()
    assert decision.pending == ((1, 2), (2, 2))
    assert decision.standings[-1].dismissed == f"its training on fold 1 has no score ({outcome}: {message})"


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
    assert decision.winner.fold_ious == {1: 0.7}
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
    assert decision.winner.fold_ious == {1: 0.90, 2: 0.65}
    assert decision.epochs == 2  # the median of 2 and 1, 1.5, rounded to even


def test_epochs_of_a_trial_that_asha_stopped_say_nothing(race):
    race.searched(0.8, 0.2, epochs=1, schedule="constant", outcome="stopped by ASHA")
    race.trained(0, 1, 0.60, 0.70, 0.90)
    race.trained(1, 1, 0.1, 0.1, 0.1)
    decision = race.decide()
    assert decision.winner.fold_ious == {1: 0.90}, "its last epoch, since no other fold has a best one"
    assert decision.epochs == 3


def test_configurations_without_scores_of_images_are_raced_on(race):
    race.searched(0.8, 0.75)
    race.trained(0, 1, 0.9)
    race.trained(1, 1, 0.1)
    for trial in race.script.journal.history.trials.values():
        for record in trial.epochs.values():
            object.__setattr__(record, "image_ious", None)
    decision = race.decide()
    assert decision.pending == ((0, 2), (1, 2))
    assert decision.standings[0].interval is None


def test_training_without_a_score_at_its_epoch_dismisses_its_configuration(race):
    """Trial 0's last epoch, at which it is scored, has none, though an earlier one has."""
    race.searched(0.8, 0.75, epochs=2, schedule="cosine")
    race.trained(0, 1, 0.6, float("nan"))
    race.trained(1, 1, 0.5, 0.5)
    decision = race.decide()
    assert decision.winner.trial == 1
    assert decision.standings[-1].dismissed == "its training on fold 1 has no score (finished)"


def test_earlier_fold_whose_epoch_has_no_score_any_more_dismisses_its_configuration(race):
    """Trial 0 was scored on fold 1 at the search's best epoch, 3; with fold 2's, 1, it would be epoch 2."""
    race.searched(0.8, 0.75, epochs=3, schedule="constant")
    race.trained(0, 1, 0.6, float("nan"), 0.6)
    race.trained(0, 2, 0.9, 0.6, 0.6)
    for fold in (1, 2):
        race.trained(1, fold, 0.6, 0.6, 0.6)
    decision = race.decide()
    assert (decision.winner.trial, decision.folds) == (1, (1, 2))
    assert decision.standings[-1].dismissed == "its training on fold 1 has no score (finished)"


def test_race_ends_before_a_fold_on_which_nobody_has_a_score(race):
    race.searched(0.8, 0.75)
    race.trained(0, 1, 0.6)
    race.trained(1, 1, 0.61)
    for source in range(2):
        race.trained(source, 2, float("nan"))
    decision = race.decide()
    assert (decision.winner.trial, decision.folds, decision.pending) == (1, (1,), ())
    assert [standing.trial for standing in decision.rivals] == [0]
