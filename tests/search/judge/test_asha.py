import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.judge import asha as judge
from search.judge.asha import Asha, rung_epochs
from search.memory.events import (
    Asked,
    CheckpointSaved,
    Dropped,
    Ended,
    Epoch,
    Event,
    Kept,
    Pruned,
    Reopened,
    Restarted,
    Started,
    encode_event,
)
from search.memory.history import History
from search.memory.journal import replay
from search.memory.outcome import FAILURES, Outcome

NAN = math.nan


def make_asha(grace_epochs: int = 1, reduction_factor: int = 3, epochs: int = 9, *, weighs_latency: bool = False):
    return Asha(
        grace_epochs=grace_epochs,
        reduction_factor=reduction_factor,
        epochs=epochs,
        weighs_latency=weighs_latency,
        metric="iou",
    )


class Told:
    """A judge that is told what happens to trials, as the journal of a search tells it.

    Args:
        asha: the judge.
    """

    def __init__(self, asha: Asha) -> None:
        self.asha = asha
        self.asked: set[int] = set()

    def epoch(self, trial: int, epoch: int, score: float = NAN, latency_ms: float | None = None) -> str:
        """Have an epoch judged, tell it, and return the verdict."""
        if trial not in self.asked:
            self.asked.add(trial)
            self.asha.apply(Asked(trial=trial, fold=0, values={}, params={}))
        verdict = self.asha.decide(trial, epoch, score, latency_ms)
        metrics = {"iou": score, "latency_ms": latency_ms}
        known = {name: value for name, value in metrics.items() if value is not None and value == value}
        self.asha.apply(Epoch(trial=trial, epoch=epoch, metrics=known, verdict=verdict))
        return verdict

    def judge(self, trial: int, epoch: int, score: float, latency_ms: float | None = None) -> bool:
        """Have an epoch judged and say whether the trial goes on; if not, it ends, with a checkpoint."""
        verdict = self.epoch(trial, epoch, score, latency_ms)
        if verdict:
            self.asha.apply(CheckpointSaved(trial=trial, epoch=epoch, path="checkpoint"))
            self.end(trial, Outcome.STOPPED)
        return not verdict

    def judge_all(self, epoch: int, scores: dict[int, float]) -> dict[int, bool]:
        """Have trials judged in the order given."""
        return {trial: self.judge(trial, epoch, score) for trial, score in scores.items()}

    def end(self, trial: int, outcome: Outcome) -> None:
        self.asha.apply(Ended(trial=trial, outcome=outcome))

    def take_up(self, trial: int) -> None:
        self.asha.apply(Reopened(trial=trial))

    def drop(self, trial: int) -> None:
        self.asha.apply(Dropped(trial=trial))

    def take_up_all(self) -> list[int]:
        """Take up who is promoted until nobody is."""
        taken = []
        while (trial := self.asha.find_promoted()) is not None:
            taken.append(trial)
            self.take_up(trial)
        return taken

    def waiting(self) -> list[int]:
        return [trial for trial in sorted(self.asked) if self.asha.waits(trial)]


@pytest.mark.parametrize(
    ("grace", "factor", "epochs", "rungs"),
    [
        (3, 3, 27, [3, 9]),  # 3, 3 x 3; 27 is the last epoch
        (1, 2, 9, [1, 2, 4, 8]),
        (1, 3, 28, [1, 3, 9, 27]),
        (4, 3, 40, [4, 12, 36]),
        (5, 3, 5, []),  # grace to the end: nothing stops
        (9, 3, 5, []),
    ],
)
def test_rungs_grow_by_the_factor_and_lie_before_the_last_epoch(grace, factor, epochs, rungs):
    assert rung_epochs(grace, factor, epochs) == rungs


def test_who_comes_to_a_rung_before_enough_have_is_told_that_none_goes_on_yet():
    told = Told(make_asha())
    assert told.asha.decide(0, 1, 0.5) == (
        "iou 0.5000 after epoch 1 is rank 1 of 1; none goes on at once until 3 got there"
    )
    told.judge_all(1, {0: 0.5, 1: 0.4})
    assert told.asha.decide(2, 1, 0.3) == "iou 0.3000 after epoch 1 is rank 3 of 3; the best third goes on"


def test_who_goes_on_at_a_rung():
    """Rung of epoch 1, factor 3: of n results the best floor(n / 3) go on, judged as each arrives."""
    told = Told(make_asha())
    assert told.judge_all(1, {0: 0.50, 1: 0.40, 2: 0.30, 3: 0.60}) == {
        0: False,  # 1 result, floor(1/3) = 0
        1: False,  # 2 results
        2: False,  # 3 results, 1 goes on; 0.30 is third
        3: True,  # 4 results, 1 goes on; 0.60 is first
    }
    # 5 results, 1 goes on
    assert told.asha.decide(4, 1, 0.45) == "iou 0.4500 after epoch 1 is rank 3 of 5; the best third goes on"
    assert told.judge_all(1, {4: 0.45, 5: 0.55, 6: 0.58}) == {
        4: False,
        5: True,  # 6 results, 2 go on; 0.60 0.55: second
        6: True,  # 7 results, 2 go on; 0.60 0.58: second
    }
    assert told.waiting() == [0, 1, 2, 4]


def test_trial_that_waits_goes_on_when_it_is_among_the_best_by_then():
    told = Told(make_asha())
    told.judge_all(1, {0: 0.50, 1: 0.40})
    assert told.asha.find_promoted() is None  # floor(2 / 3) = 0
    told.judge_all(1, {2: 0.30})
    assert told.asha.find_promoted() == 0  # floor(3 / 3) = 1
    told.take_up(0)
    assert told.asha.find_promoted() is None, "trial 0 has gone on, 1 is second"
    told.judge_all(1, {3: 0.20, 4: 0.10, 5: 0.05})
    assert told.asha.find_promoted() == 1  # floor(6 / 3) = 2


def test_trial_that_was_overtaken_waits_on():
    told = Told(make_asha())
    told.judge_all(1, {0: 0.5, 1: 0.4, 2: 0.6})
    # 0 was first of two; of three 2 is, which went on at once.
    assert told.asha.find_promoted() is None
    assert told.waiting() == [0, 1]


def test_trial_of_the_highest_rung_goes_on_first_and_in_a_rung_the_best():
    told = Told(make_asha(reduction_factor=2, epochs=8))
    told.judge_all(1, {trial: 0.5 - trial / 100 for trial in range(4)})
    told.judge_all(2, {10: 0.1, 11: 0.05})
    # floor(2 / 2) = 1 at epoch 2, floor(4 / 2) = 2 at epoch 1.
    assert told.take_up_all() == [10, 0, 1]


def test_shares_are_rounded_up_when_no_trials_are_left_to_begin():
    told = Told(make_asha())
    told.judge_all(1, {0: 0.2, 1: 0.6, 2: 0.5, 3: 0.4})
    # Of four, floor(4 / 3) = 1 goes on, trial 1, or ceil(4 / 3) = 2, trial 2 as well.
    assert told.asha.find_promoted() == 1
    told.take_up(1)
    assert told.asha.find_promoted() is None
    assert told.asha.find_promoted(last=True) == 2
    told.take_up(2)
    assert told.asha.find_promoted(last=True) is None


def test_lone_trial_goes_on_when_no_trials_are_left_to_begin():
    told = Told(make_asha())
    told.judge_all(1, {0: 0.1})
    assert (told.asha.find_promoted(), told.asha.find_promoted(last=True)) == (None, 0)


@pytest.mark.parametrize("outcome", [*FAILURES, None])
def test_another_takes_the_place_of_a_trial_that_failed_when_no_trials_are_left_to_begin(outcome):
    told = Told(make_asha(reduction_factor=2))
    told.judge_all(1, {0: 0.5, 1: 0.4})
    told.take_up(0)
    assert told.asha.find_promoted(last=True) is None  # ceil(2 / 2) = 1 goes on, trial 0
    if outcome is None:
        told.judge(0, 2, NAN)
    else:
        told.end(0, outcome)
    assert told.asha.find_promoted() is None
    assert told.asha.find_promoted(last=True) == 1


def test_failed_trial_that_is_tried_again_takes_its_place_again():
    told = Told(make_asha(reduction_factor=2))
    told.judge_all(1, {0: 0.5, 1: 0.4})
    told.take_up(0)
    told.end(0, Outcome.OUT_OF_MEMORY)
    assert told.asha.find_promoted(last=True) == 1
    told.take_up(0)
    assert told.asha.find_promoted(last=True) is None
    # It reaches the next rung and waits there: first of one, and ceil(1 / 2) = 1 goes on.
    assert not told.judge(0, 2, 0.6)
    assert told.asha.find_promoted(last=True) == 0


def test_trial_that_is_taken_up_waits_no_more():
    told = Told(make_asha())
    told.judge_all(1, {0: 0.5})
    assert told.waiting() == [0]
    told.take_up(0)
    assert told.waiting() == []


def test_rungs_are_judged_apart():
    told = Told(make_asha())
    told.judge_all(1, {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.95})
    # Epoch 3 has one result, whatever epoch 1 holds; the third is first of three.
    assert told.judge_all(3, {3: 0.1, 0: 0.05, 1: 0.2}) == {3: False, 0: False, 1: True}


def test_between_rungs_nobody_stops():
    told = Told(make_asha())
    told.judge_all(1, {0: 0.9, 1: 0.8, 2: 0.7})
    assert told.judge(2, 2, 0.0)


def test_trial_with_a_first_rung_of_its_own_is_judged_there_and_counts_at_those_before():
    """Rungs 1, 3 and 9 of 27 epochs: one that is to be judged from epoch 6 on is judged at 9."""
    told = Told(make_asha(epochs=27))
    told.judge_all(1, {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.6})
    told.asked.add(4)
    told.asha.apply(Asked(trial=4, fold=0, values={}, params={}, first_rung=6))
    assert told.judge(4, 1, 0.1) and told.judge(4, 3, 0.1)
    assert told.epoch(5, 1, 0.05).startswith("iou 0.0500 after epoch 1 is rank 6 of 6")
    assert not told.judge(4, 9, 0.1)
    # One that is to be judged from epoch 3 on is judged there.
    told.asked.add(6)
    told.asha.apply(Asked(trial=6, fold=0, values={}, params={}, first_rung=3))
    assert told.judge(6, 1, 0.05) and not told.judge(6, 3, 0.05)
    # Asked for anew it is judged as all are.
    told.asha.apply(Asked(trial=4, fold=0, values={}, params={}))
    assert not told.judge(4, 1, 0.1)


def test_nobody_stops_at_or_after_the_last_epoch():
    told = Told(make_asha(epochs=9))
    for trial in range(6):
        assert told.judge(trial, 9, 0.9 - trial / 10)
        assert told.judge(trial, 27, 0.9 - trial / 10)


def test_nan_is_stopped_at_once_ranks_nowhere_and_waits_for_nothing():
    told = Told(make_asha(grace_epochs=3))
    assert told.asha.decide(0, 1, NAN) == "its iou is NaN after epoch 1"
    assert told.asha.decide(1, 3, NAN) == "its iou is NaN after epoch 3"
    assert not told.judge(0, 1, NAN)
    assert not told.judge(1, 3, NAN)
    # Of two results none goes on: with the NaN they would be three.
    told.judge_all(3, {2: 0.5, 3: 0.4})
    assert told.waiting() == [2, 3]
    assert told.asha.find_promoted() is None


def test_nan_after_a_rung_waits_for_nothing_though_the_rung_keeps_its_score():
    told = Told(make_asha(reduction_factor=2))
    told.judge_all(1, {0: 0.5, 1: 0.6})
    told.judge(1, 2, NAN)
    assert told.waiting() == [0]
    assert "is rank 3 of 3" in told.asha.decide(2, 1, 0.4)
    # Of its last epoch there is no checkpoint: the one that there is, of the rung, is no way back.
    told.judge(3, 1, 0.1)
    told.take_up(3)
    told.epoch(3, 2, NAN)
    told.end(3, Outcome.STOPPED)
    assert told.waiting() == [0]


def test_equal_scores_are_ranked_by_number_so_a_tie_does_not_let_all_pass():
    told = Told(make_asha(reduction_factor=2))
    # All equal. 3: 0 of 1 go on; 7: 1 of 2, the lowest number, 3; 1: 1 of 3, itself; 5: 2 of 4, which are 1 and 3.
    assert told.judge_all(1, {3: 0.5, 7: 0.5, 1: 0.5, 5: 0.5}) == {3: False, 7: False, 1: True, 5: False}
    assert told.asha.find_promoted() == 3


def test_an_epoch_reported_again_replaces_its_score():
    """A restarted trial trains again what came after its checkpoint; it still counts as one result."""
    told = Told(make_asha(reduction_factor=2))
    told.judge_all(1, {0: 0.5, 1: 0.6})
    # Second of two, as if it had never had 0.6.
    assert told.epoch(1, 1, 0.4).endswith("is rank 2 of 2; the best half goes on")
    assert not told.judge(1, 1, NAN)
    assert told.asha.decide(2, 1, 0.3).endswith("is rank 2 of 2; the best half goes on"), "trial 1 counts no more"


def test_scores_of_epochs_that_are_yet_to_be_trained_again_count_no_more():
    """Trial 1 had got to epoch 4 and is trained again from epoch 2 on."""
    told = Told(make_asha(reduction_factor=2, epochs=8))
    told.judge_all(1, {0: 0.1, 1: 0.6})
    told.judge_all(2, {0: 0.1, 1: 0.6})
    told.judge_all(3, {1: 0.6})
    told.epoch(1, 4, 0.6)
    assert "is rank 2 of 2" in told.asha.decide(2, 4, 0.5)
    told.epoch(1, 2, 0.3)
    assert "is rank 1 of 1" in told.asha.decide(2, 4, 0.5)
    assert "is rank 3 of 3" in told.asha.decide(2, 1, 0.05), "epoch 1 was not trained again"
    assert told.asha.decide(2, 2, 0.2) == "iou 0.2000 after epoch 2 is rank 2 of 3; the best half goes on"


def test_trial_that_is_asked_for_again_begins_anew():
    told = Told(make_asha(reduction_factor=2))
    told.judge_all(1, {0: 0.5})
    told.asha.apply(Asked(trial=0, fold=0, values={}, params={}))
    assert told.waiting() == []
    assert "is rank 1 of 1" in told.asha.decide(1, 1, 0.3)


def test_verdict_that_was_lost_with_its_worker_is_given_anew():
    # Trial 2 is third of three and stopped; its worker dies before the end, and trained again it is first.
    told = Told(make_asha())
    told.judge_all(1, {0: 0.5, 1: 0.4})
    assert told.epoch(2, 1, 0.3)
    assert told.judge(2, 1, 0.6)
    assert told.waiting() == [0, 1]


@pytest.mark.parametrize(
    ("checkpoints", "waits"),
    [
        ([2], True),
        ([1, 2], True),
        ([1], False),  # it would be trained again from epoch 1, and judged otherwise
        ([0], False),
        ([], False),
    ],
)
def test_who_has_no_checkpoint_of_the_last_epoch_does_not_wait(checkpoints, waits):
    told = Told(make_asha(grace_epochs=2))
    told.epoch(0, 1, 0.5)
    told.epoch(0, 2, 0.5)
    for epoch in checkpoints:
        told.asha.apply(CheckpointSaved(trial=0, epoch=epoch, path=f"checkpoint_{epoch}"))
    told.end(0, Outcome.STOPPED)
    assert told.asha.waits(0) is waits
    assert told.asha.find_promoted(last=True) == (0 if waits else None)


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.STOPPED])
def test_only_who_was_stopped_waits(outcome):
    told = Told(make_asha())
    told.epoch(0, 1, 0.5)
    told.asha.apply(CheckpointSaved(trial=0, epoch=1, path="checkpoint"))
    told.end(0, outcome)
    assert not told.asha.waits(0)


def test_trials_too_far_behind_at_their_rung_are_hopeless(monkeypatch):
    monkeypatch.setattr(judge, "_WAITING_PER_RUNG", 2)
    told = Told(make_asha(reduction_factor=2, epochs=8))
    told.judge_all(1, {0: 0.1, 1: 0.05, 2: 0.03, 3: 0.04, 4: 0.09})
    told.judge_all(2, {10: 0.01, 11: 0.005})
    # At epoch 1 wait 0.1, 0.05, 0.04, 0.03, for 4 was second of five: the last two are too far behind. At epoch 2
    # but two wait.
    assert told.waiting() == [0, 1, 2, 3, 10, 11]
    assert told.asha.find_hopeless() == [2, 3]
    assert told.asha.find_hopeless() == [2, 3], "until they are dropped"
    for trial in (2, 3):
        told.drop(trial)
    assert told.waiting() == [0, 1, 10, 11]
    assert told.asha.find_hopeless() == []
    # Ten results: five go on, which would be 2 and 3, too.
    told.judge_all(1, dict.fromkeys(range(20, 25), 0.001))
    assert told.take_up_all() == [10, 0, 1]


def test_dropped_trial_is_never_promoted_and_counts_in_its_rung():
    told = Told(make_asha(reduction_factor=2))
    told.judge_all(1, {0: 0.5, 1: 0.4})
    told.drop(0)
    told.judge_all(1, {2: 0.3, 3: 0.2})
    # Of four the best two go on: 0, which cannot any more, and 1.
    assert told.take_up_all() == [1]
    assert told.asha.find_promoted(last=True) is None
    # An end that is written after the drop does not bring it back.
    told.end(0, Outcome.STOPPED)
    assert not told.asha.waits(0)


def test_deciding_teaches_nothing():
    told = Told(make_asha(reduction_factor=2))
    told.judge_all(1, {0: 0.5, 1: 0.4})
    verdicts = {told.asha.decide(2, 1, 0.45) for _ in range(3)}
    assert verdicts == {"iou 0.4500 after epoch 1 is rank 2 of 3; the best half goes on"}
    assert {told.asha.find_promoted() for _ in range(3)} == {0}
    # Who was but asked about is not there: of two and one more, not of three and one more.
    assert "is rank 3 of 3" in told.asha.decide(3, 1, 0.3)
    # Asked about a trial with another score than it has, what it has stays.
    assert told.asha.decide(1, 1, 0.9) == ""
    assert "is rank 2 of 3" in told.asha.decide(3, 1, 0.45), "trial 1 has 0.4"


@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    factor=st.integers(2, 5),
    order=st.randoms(use_true_random=False),
)
def test_a_trial_goes_on_exactly_when_it_is_among_the_best_share_so_far(scores, factor, order):
    told = Told(make_asha(reduction_factor=factor))
    trials = list(range(len(scores)))
    order.shuffle(trials)
    for count, trial in enumerate(trials, start=1):
        best = sorted(trials[:count], key=lambda number: (-scores[number], number))[: count // factor]
        assert told.judge(trial, 1, scores[trial]) == (trial in best)
        waiting = [number for number in best if told.asha.waits(number)]
        assert told.asha.find_promoted() == (waiting[0] if waiting else None)
        if waiting and order.random() < 0.5:
            told.take_up(waiting[0])


@pytest.fixture(scope="module")
def rebuild(tmp_path_factory) -> Callable[[Sequence[Event], Asha], History]:
    """Return a function that writes events into a journal, and tells a judge what is read from it."""
    file: Path = tmp_path_factory.mktemp("judge") / "journal.jsonl"

    def build(events: Sequence[Event], asha: Asha) -> History:
        file.write_bytes(b"".join(encode_event(event) + b"\n" for event in events))
        history = History("iou")
        replay(file, history, asha)
        return history

    return build


class Play:
    """A search of given curves, trained in turn by workers; what happens becomes events as `recorder` writes them.

    Args:
        curves: scores by epoch of each trial, all equally long; NaN stops it, None makes it fail.
        factor: of ASHA, which compares from the first epoch on.
        workers: trainings at a time.
    """

    def __init__(self, curves: Sequence[Sequence[float | None]], factor: int, workers: int) -> None:
        self.curves, self.factor, self.workers = curves, factor, workers
        self.events: list[Event] = []
        self.history, self.asha = History("iou"), self.make_asha()

    def make_asha(self) -> Asha:
        return make_asha(reduction_factor=self.factor, epochs=len(self.curves[0]))

    def run(self, kill: Callable[[int], None] = lambda step: None) -> list[Event]:
        """Play to the end and return what happened.

        Args:
            kill: called before each step.
        """
        running: list[int] = []
        for step in range(10_000):
            kill(step)
            while len(running) < self.workers and (trial := self._hand_out()) is not None:
                running.append(trial)
            if not running:
                return self.events
            trial = running.pop(0)
            if self._train_epoch(trial):
                running.append(trial)
        raise AssertionError("it never ends")

    def _write(self, event: Event) -> None:
        self.events.append(event)
        for fold in (self.history, self.asha):
            fold.apply(event)

    def _hand_out(self) -> int | None:
        count = len(self.history.trials)
        promoted = self.asha.find_promoted(last=count == len(self.curves))
        if promoted is not None:
            self._write(Reopened(trial=promoted, time=0.0))
            return promoted
        if count == len(self.curves):
            return None
        self._write(Asked(trial=count, fold=0, values={}, params={}, time=0.0))
        return count

    def _train_epoch(self, trial: int) -> bool:
        epoch = self.history.trials[trial].last_epoch + 1
        score = self.curves[trial][epoch - 1]
        if score is None:
            self._write(Ended(trial=trial, outcome=Outcome.FAILED, time=0.0))
            return False
        verdict = self.asha.decide(trial, epoch, score)
        metrics = {} if math.isnan(score) else {"iou": score}
        self._write(Epoch(trial=trial, epoch=epoch, metrics=metrics, verdict=verdict, time=0.0))
        self._write(CheckpointSaved(trial=trial, epoch=epoch, path="checkpoint", time=0.0))
        if not verdict and epoch < len(self.curves[0]):
            return True
        outcome = Outcome.STOPPED if verdict else Outcome.FINISHED
        self._write(Ended(trial=trial, outcome=outcome, message=verdict, time=0.0))
        for gone in self.asha.find_hopeless():
            self._write(Dropped(trial=gone, time=0.0))
        return False


def draw_curves(data: st.DataObject, *, most: int = 14, failing: bool = False) -> list[list[float | None]]:
    trials, epochs = data.draw(st.integers(1, most)), data.draw(st.integers(1, 9))
    scores = st.sampled_from((0.1, 0.2, 0.3, 0.4, 0.5)) | st.floats(0, 1)
    if failing:
        scores |= st.sampled_from((NAN, None))
    return data.draw(st.lists(st.lists(scores, min_size=epochs, max_size=epochs), min_size=trials, max_size=trials))


@given(data=st.data(), factor=st.integers(2, 5), workers=st.integers(1, 4))
def test_every_search_ends_and_trains_a_trial_to_its_end(data, factor, workers):
    play = Play(draw_curves(data), factor, workers)
    play.run()
    outcomes = [trial.outcome for trial in play.history.in_order]
    assert len(outcomes) == len(play.curves)
    assert set(outcomes) <= {Outcome.FINISHED, Outcome.STOPPED}
    assert Outcome.FINISHED in outcomes


@given(data=st.data(), factor=st.integers(2, 5), workers=st.integers(1, 4))
def test_a_search_trains_a_trial_to_its_end_when_others_fail(data, factor, workers):
    """One trial does not; it is the worst of them, and few enough wait for it to be kept."""
    curves = draw_curves(data, most=7, failing=True)
    curves.append([-1.0 for _ in curves[0]])
    play = Play(curves, factor, workers)
    play.run()
    assert Outcome.FINISHED in [trial.outcome for trial in play.history.in_order]


@given(data=st.data(), factor=st.integers(2, 5), workers=st.integers(1, 4), kills=st.sets(st.integers(0, 60)))
def test_a_search_killed_and_read_from_disk_judges_and_promotes_as_the_uninterrupted_one(
    rebuild, data, factor, workers, kills
):
    curves = draw_curves(data, failing=True)
    whole = Play(curves, factor, workers).run()
    play = Play(curves, factor, workers)

    def kill(step: int) -> None:
        if step in kills:
            play.asha = play.make_asha()
            play.history = rebuild(play.events, play.asha)

    assert play.run(kill) == whole


def draw_events(data: st.DataObject, count: int) -> list[Event]:
    """Draw events of up to five trials of which each can follow on those before it, in any order that may come."""
    history, events = History("iou"), []
    scores = st.sampled_from((None, 0.1, 0.2, 0.3)) | st.floats(0, 1)
    for _ in range(count):
        trial = data.draw(st.integers(0, min(len(history.trials), 4)))
        event = data.draw(_follow(history, trial, scores))
        events.append(event)
        history.apply(event)
    return events


def _follow(history: History, trial: int, scores: st.SearchStrategy[float | None]) -> st.SearchStrategy[Event]:
    """Return what can happen to a trial next."""
    asked = st.just(Asked(trial=trial, fold=0, values={}, params={}))
    record = history.trials.get(trial)
    if record is None:
        return asked
    if record.outcome is not None:
        return st.sampled_from((Reopened(trial=trial), Dropped(trial=trial)))
    epochs = st.builds(
        lambda epoch, iou, latency_ms: Epoch(
            trial=trial,
            epoch=epoch,
            metrics={name: value for name, value in (("iou", iou), ("latency_ms", latency_ms)) if value is not None},
        ),
        # Now and then one that was trained before.
        st.just(record.last_epoch + 1) | st.integers(1, record.last_epoch + 1),
        scores,
        st.sampled_from((None, 5.0, 10.0)),
    )
    checkpoint = CheckpointSaved(trial=trial, epoch=record.last_epoch, path="checkpoint")
    ends = st.builds(Ended, trial=st.just(trial), outcome=st.just(Outcome.STOPPED) | st.sampled_from(Outcome))
    rare = st.sampled_from((Started(trial=trial), Restarted(trial=trial))) | asked
    return epochs | epochs | st.just(checkpoint) | ends | rare


def answers(asha: Asha) -> list[object]:
    """Everything that a judge can be asked."""
    decided = [asha.decide(trial, epoch, 0.25, 7.0) for trial in range(6) for epoch in (*asha.rungs, 3)]
    promoted = [asha.find_promoted(last=last) for last in (False, True)]
    return [decided, promoted, asha.find_hopeless(), [asha.waits(trial) for trial in range(6)]]


@given(data=st.data(), count=st.integers(1, 40), factor=st.integers(2, 3))
def test_the_short_ways_lead_where_ranking_all_of_a_rung_does(data, count, factor):
    asha = make_asha(reduction_factor=factor, epochs=8)
    for event in draw_events(data, count):
        asha.apply(event)
        for trial in range(6):
            for epoch in asha.rungs:
                ranked = asha._rank(epoch, {trial: 0.25})
                assert asha._place(epoch, trial, 0.25, None) == (ranked.index(trial) + 1, len(ranked))
        going_on = [
            trial
            for epoch in reversed(asha.rungs)
            for trial in asha._rank(epoch)[: len(asha._rank(epoch)) // factor]
            if asha._waiting.get(trial) == epoch
        ]
        assert asha.find_promoted() == next(iter(going_on), None)


@given(data=st.data(), count=st.integers(1, 40), factor=st.integers(2, 3), weighs_latency=st.booleans())
def test_a_judge_built_from_a_journal_cut_anywhere_answers_as_the_live_one(
    rebuild, data, count, factor, weighs_latency
):
    """The live one is asked after every event, too, and learns nothing by it."""
    events = draw_events(data, count)
    cut = data.draw(st.integers(0, count))
    live, fresh = (make_asha(reduction_factor=factor, epochs=8, weighs_latency=weighs_latency) for _ in range(2))
    for event in events[:cut]:
        live.apply(event)
        assert answers(live) == answers(live)
    rebuild(events[:cut], fresh)
    assert answers(fresh) == answers(live)
    for event in events[cut:]:
        live.apply(event)
        fresh.apply(event)
        assert answers(fresh) == answers(live)


def test_a_judge_told_of_a_journal_decides_nothing_and_lets_wait_who_can_go_on(script):
    for trial in range(4):
        script.ask(trial)
        script.epochs(trial, 0.5 - trial / 10)
    for trial in range(3):
        script.write("checkpoint", trial=trial, epoch=1, path="checkpoint")
        script.end(trial, "stopped by ASHA", "so it was")
    script.write("dropped", trial=2)
    script.end(3, "stopped by ASHA", "its last epoch has no checkpoint")
    asha = make_asha()
    script.journal.follow(asha)
    assert [asha.waits(trial) for trial in range(4)] == [True, True, False, False]
    # Four results at the rung, of those that do not wait, too: a fifth is second, and one goes on.
    assert asha.decide(4, 1, 0.45) == "iou 0.4500 after epoch 1 is rank 2 of 5; the best third goes on"


def test_with_two_goals_what_nothing_beats_in_both_ranks_first():
    """Scores 0.6, 0.5, 0.4, 0.3 at 40, 50, 20, 10 ms: trial 1 is beaten by trial 0; the others are on one front."""
    told = Told(make_asha(reduction_factor=2, weighs_latency=True))
    assert not told.judge(0, 1, 0.6, 40.0)
    assert "rank 2 of 2" in told.asha.decide(1, 1, 0.5, 50.0)
    for trial, (score, latency_ms) in enumerate(((0.5, 50.0), (0.4, 20.0), (0.3, 10.0)), start=1):
        told.judge(trial, 1, score, latency_ms)
    # Of four two go on: the better two of the first front. By score alone these would be 0 and 1.
    assert told.take_up_all() == [0, 2]
    assert told.waiting() == [1, 3]


def test_latency_is_known_from_the_epoch_that_measured_it_on():
    """At epoch 2 nobody measures: trial 1 is as good as trial 0 and faster, so alone on the first front."""
    told = Told(make_asha(reduction_factor=2, weighs_latency=True))
    for trial, latency_ms in ((0, 40.0), (1, 30.0)):
        told.epoch(trial, 1, 0.5, latency_ms)
    told.epoch(0, 2, 0.5)
    assert told.asha.decide(1, 2, 0.5) == ""
    assert "rank 2 of 2" in told.asha.decide(1, 2, 0.5, 50.0), "what is measured now counts, not what was known"
    assert "rank 2 of 2" in told.asha.decide(2, 2, 0.5), "the slowest, as long as nothing is known of it"
    told.asha.apply(Asked(trial=1, fold=0, values={}, params={}))
    assert "rank 2 of 2" in told.asha.decide(1, 1, 0.5), "begun anew, nothing is known of it"


def test_latency_means_nothing_where_iou_alone_is_sought():
    told = Told(make_asha(reduction_factor=2))
    told.judge(0, 1, 0.6, 40.0)
    assert "rank 2 of 2" in told.asha.decide(1, 1, 0.5, 1.0)


def test_metric_that_decides_ranks_and_is_told_by_its_name():
    asha = Asha(grace_epochs=1, reduction_factor=2, epochs=9, metric="iou/car")
    for trial, (iou, car) in enumerate([(0.9, 0.2), (0.1, 0.6)]):
        asha.apply(Asked(trial=trial, fold=0, values={}, params={}))
        asha.apply(Epoch(trial=trial, epoch=1, metrics={"iou": iou, "iou/car": car}))
    assert asha.decide(2, 1, 0.7) == ""
    assert asha.decide(2, 1, 0.5) == "iou/car 0.5000 after epoch 1 is rank 2 of 3; the best half goes on"
    assert asha.decide(2, 1, NAN) == "its iou/car is NaN after epoch 1"


def test_trial_that_lacks_the_metric_ranks_nowhere_whatever_else_it_reports():
    asha = Asha(grace_epochs=1, reduction_factor=2, epochs=9, metric="miou")
    asha.apply(Asked(trial=0, fold=0, values={}, params={}))
    asha.apply(Epoch(trial=0, epoch=1, metrics={"iou": 0.9}))
    assert "rank 1 of 1" in asha.decide(1, 1, 0.1)


def test_a_trial_that_is_kept_passes_every_rung_and_counts_in_it():
    told = Told(make_asha(reduction_factor=2, epochs=8))
    told.judge_all(1, {0: 0.5, 1: 0.6, 2: 0.4})
    told.asha.apply(Asked(trial=3, fold=0, values={}, params={}))
    told.asked.add(3)
    told.asha.apply(Kept(trial=3, reason="a person"))
    assert told.epoch(3, 1, 0.1) == ""
    assert told.epoch(3, 2, 0.1) == ""
    # Of four at the first rung the best two go on by now, and the last of them is the one that is kept.
    assert "is rank 3 of 5" in told.asha.decide(4, 1, 0.45)
    assert told.asha.decide(3, 3, NAN) == "its iou is NaN after epoch 3", "a training that diverged is not kept"


def test_a_waiting_trial_that_is_kept_goes_on_first_and_never_loses_its_checkpoint(monkeypatch):
    monkeypatch.setattr(judge, "_WAITING_PER_RUNG", 1)
    told = Told(make_asha(reduction_factor=2, epochs=8))
    told.judge_all(1, {0: 0.5, 1: 0.4, 2: 0.3, 3: 0.2})
    before = told.asha.find_hopeless()
    assert 3 in before
    told.asha.apply(Kept(trial=3, reason="a person"))
    assert told.asha.find_hopeless() == [trial for trial in before if trial != 3]
    assert told.asha.find_promoted() == 3
    told.asha.apply(Kept(trial=2, reason="a person"))
    assert told.asha.find_promoted() == 2, "the first of those that are kept"
    for trial in (2, 3):
        told.take_up(trial)
    assert told.asha.find_promoted() not in (2, 3)


def test_a_trial_that_is_pruned_stops_at_its_next_epoch_and_waits_no_more():
    told = Told(make_asha(reduction_factor=2, epochs=8))
    told.epoch(0, 1, 0.5)
    told.asha.apply(Kept(trial=0, reason="first"))
    told.asha.apply(Pruned(trial=0, reason="it was enough"))
    assert told.asha.decide(0, 3, 0.9) == "it was enough", "also between two rungs"
    told.asha.apply(Epoch(trial=0, epoch=3, metrics={"iou": 0.9}))
    told.asha.apply(CheckpointSaved(trial=0, epoch=3, path="checkpoint"))
    told.end(0, Outcome.PRUNED)
    assert not told.asha.waits(0)
    assert told.asha.find_promoted(last=True) is None


def test_of_two_wishes_for_a_trial_the_last_counts():
    told = Told(make_asha(reduction_factor=2, epochs=8))
    told.judge_all(1, {1: 0.9})
    told.epoch(0, 1, 0.1)
    told.asha.apply(Pruned(trial=0, reason="too slow"))
    told.asha.apply(Kept(trial=0, reason="a person"))
    assert (told.asha.decide(0, 2, 0.1), told.asha.is_pruned(0)) == ("", False)
    told.asha.apply(Pruned(trial=0, reason="too slow"))
    assert told.asha.decide(0, 2, 0.1) == "too slow"


def test_a_waiting_trial_that_is_kept_and_then_pruned_waits_its_turn():
    told = Told(make_asha(reduction_factor=2, epochs=8))
    told.judge_all(1, {0: 0.5, 1: 0.4, 2: 0.3})
    told.asha.apply(Kept(trial=2, reason="a person"))
    assert told.asha.find_promoted() == 2
    told.asha.apply(Pruned(trial=2, reason="a person"))
    assert told.asha.find_promoted() == 0  # floor(3 / 2) = 1


def test_a_trial_that_comes_to_its_score_again_is_ranked_as_before():
    """As where a worker died after the report, and the epoch is trained once more."""
    told = Told(make_asha())
    told.judge_all(1, {0: 0.5, 1: 0.4, 2: 0.3, 3: 0.2})
    assert "is rank 2 of 4" in told.asha.decide(1, 1, 0.4)
    assert "is rank 4 of 4" in told.asha.decide(1, 1, 0.1)
    assert told.asha.decide(1, 1, 0.6) == ""  # rank 1 of 4


def test_a_trial_that_waits_and_is_pruned_is_not_taken_up_again():
    told = Told(make_asha(reduction_factor=2, epochs=8))
    told.judge_all(1, {0: 0.5, 1: 0.4})
    assert told.asha.find_promoted() == 0
    told.asha.apply(Pruned(trial=0, reason="a person"))
    told.end(0, Outcome.PRUNED)
    assert told.asha.find_promoted() is None, "it still counts where it stood"
    assert told.asha.find_promoted(last=True) == 1, "one at least gets to the end"
    assert not told.asha.waits(0)


def test_a_trial_that_begins_anew_is_neither_kept_nor_pruned():
    told = Told(make_asha(reduction_factor=2, epochs=8))
    told.judge_all(1, {1: 0.9})
    for event in (Kept(trial=0, reason="x"), Pruned(trial=0, reason="x")):
        told.asha.apply(Asked(trial=0, fold=0, values={}, params={}))
        told.asha.apply(event)
        told.asha.apply(Asked(trial=0, fold=0, values={}, params={}))
        assert "is rank 2 of 2" in told.asha.decide(0, 1, 0.1)
