import math
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler

from search.judge import asha as scheduler
from search.judge.asha import Asha, rung_epochs
from search.memory.events import CheckpointSaved, Dropped
from search.memory.history import History
from search.memory.outcome import Outcome
from search.run.scheduler import AshaScheduler

NAN = math.nan


def make_asha(grace_epochs: int = 1, reduction_factor: int = 3, epochs: int = 9) -> Asha:
    return Asha(grace_epochs=grace_epochs, reduction_factor=reduction_factor, epochs=epochs)


def judge_all(asha: Asha, epoch: int, scores: dict[int, float]) -> dict[int, bool]:
    """Judge trials in the order given; who is stopped waits."""
    verdicts = {}
    for trial, score in scores.items():
        verdicts[trial] = asha.judge(trial, epoch, score)
        if not verdicts[trial]:
            asha.park(trial, epoch)
    return verdicts


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


def test_who_goes_on_at_a_rung():
    """Rung of epoch 1, factor 3: of n results the best floor(n / 3) go on, judged as each arrives."""
    asha = make_asha()
    scores = {0: 0.50, 1: 0.40, 2: 0.30, 3: 0.60, 4: 0.45, 5: 0.55, 6: 0.58}
    assert judge_all(asha, 1, scores) == {
        0: False,  # 1 result, floor(1/3) = 0
        1: False,  # 2 results
        2: False,  # 3 results, 1 goes on; 0.30 is third
        3: True,  # 4 results, 1 goes on; 0.60 is first
        4: False,  # 5 results, 1 goes on
        5: True,  # 6 results, 2 go on; 0.60 0.55: second
        6: True,  # 7 results, 2 go on; 0.60 0.58: second
    }
    assert sorted(asha.stopped) == [0, 1, 2, 4]
    assert asha.stopped[4] == "iou 0.4500 after epoch 1 is rank 3 of 5; of every 3 the best goes on"


def test_trial_that_waits_goes_on_when_it_is_among_the_best_by_then():
    asha = make_asha()
    judge_all(asha, 1, {0: 0.50, 1: 0.40})
    assert asha.find_promoted() is None  # floor(2 / 3) = 0
    judge_all(asha, 1, {2: 0.30})
    assert asha.find_promoted() == 0  # floor(3 / 3) = 1
    asha.revive(0)
    assert asha.find_promoted() is None, "trial 0 has gone on, 1 is second"
    judge_all(asha, 1, {3: 0.20, 4: 0.10, 5: 0.05})
    assert asha.find_promoted() == 1  # floor(6 / 3) = 2


def test_trial_that_was_overtaken_waits_on():
    asha = make_asha()
    judge_all(asha, 1, {0: 0.5, 1: 0.4, 2: 0.6})
    # 0 was first of two; of three 2 is, which went on at once.
    assert asha.find_promoted() is None
    assert [asha.waits(trial) for trial in range(3)] == [True, True, False]


def test_trial_of_the_highest_rung_goes_on_first_and_in_a_rung_the_best():
    asha = make_asha(reduction_factor=2, epochs=8)
    judge_all(asha, 1, {trial: 0.5 - trial / 100 for trial in range(4)})
    judge_all(asha, 2, {10: 0.1, 11: 0.05})
    # floor(2 / 2) = 1 at epoch 2, floor(4 / 2) = 2 at epoch 1.
    promoted = []
    while (trial := asha.find_promoted()) is not None:
        promoted.append(trial)
        asha.revive(trial)
    assert promoted == [10, 0, 1]


def test_shares_are_rounded_up_when_no_trials_are_left_to_begin():
    asha = make_asha(reduction_factor=3)
    judge_all(asha, 1, {0: 0.2, 1: 0.6, 2: 0.5, 3: 0.4})
    # Of four, floor(4 / 3) = 1 goes on, trial 1, or ceil(4 / 3) = 2, trial 2 as well.
    assert asha.find_promoted() == 1
    asha.revive(1)
    assert asha.find_promoted() is None
    assert asha.find_promoted(last=True) == 2
    asha.revive(2)
    assert asha.find_promoted(last=True) is None


def test_lone_trial_goes_on_when_no_trials_are_left_to_begin():
    asha = make_asha()
    judge_all(asha, 1, {0: 0.1})
    assert (asha.find_promoted(), asha.find_promoted(last=True)) == (None, 0)


@pytest.mark.parametrize("how", ["its training fails", "its score is NaN"])
def test_another_takes_the_place_of_a_trial_that_failed_when_no_trials_are_left_to_begin(how):
    asha = make_asha(reduction_factor=2)
    judge_all(asha, 1, {0: 0.5, 1: 0.4})
    asha.revive(0)
    assert asha.find_promoted(last=True) is None  # ceil(2 / 2) = 1 goes on, trial 0
    if how == "its training fails":
        asha.fail(0)
    else:
        asha.judge(0, 2, NAN)
    assert asha.find_promoted() is None
    assert asha.find_promoted(last=True) == 1


def test_revived_trial_is_stopped_no_more_and_waits_no_more():
    asha = make_asha()
    judge_all(asha, 1, {0: 0.5})
    asha.revive(0)
    assert (asha.stopped, asha.waits(0)) == ({}, False)


def test_rungs_are_judged_apart():
    asha = make_asha()
    judge_all(asha, 1, {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.95})
    # Epoch 3 has one result, whatever epoch 1 holds; the third is first of three.
    assert judge_all(asha, 3, {3: 0.1, 0: 0.05, 1: 0.2}) == {3: False, 0: False, 1: True}


def test_between_rungs_nobody_stops():
    asha = make_asha()
    judge_all(asha, 1, {0: 0.9, 1: 0.8, 2: 0.7})
    assert asha.judge(2, 2, 0.0)


def test_nobody_stops_at_or_after_the_last_epoch():
    asha = make_asha(epochs=9)
    for trial in range(6):
        assert asha.judge(trial, 9, 0.9 - trial / 10)
        assert asha.judge(trial, 27, 0.9 - trial / 10)
    assert asha.stopped == {}


def test_nan_is_stopped_at_once_and_ranks_nowhere():
    asha = make_asha(grace_epochs=3)
    assert asha.judge(0, 1, NAN) is False
    assert asha.judge(1, 3, NAN) is False
    assert asha.stopped == {0: "its score is NaN after epoch 1", 1: "its score is NaN after epoch 3"}
    # Of two results none goes on: with the NaN they would be three.
    judge_all(asha, 3, {2: 0.5, 3: 0.4})
    assert asha.find_promoted() is None


def test_equal_scores_are_ranked_by_number_so_a_tie_does_not_let_all_pass():
    asha = make_asha(reduction_factor=2)
    # All equal. 3: 0 of 1 go on; 7: 1 of 2, the lowest number, 3; 1: 1 of 3, itself; 5: 2 of 4, which are 1 and 3.
    assert judge_all(asha, 1, {3: 0.5, 7: 0.5, 1: 0.5, 5: 0.5}) == {3: False, 7: False, 1: True, 5: False}
    assert asha.find_promoted() == 3


def test_an_epoch_reported_again_replaces_its_score():
    """A restarted trial trains again what came after its checkpoint; it still counts as one result."""
    asha = make_asha(reduction_factor=2)
    judge_all(asha, 1, {0: 0.5, 1: 0.6})
    assert asha.judge(1, 1, 0.4) is False  # second of two, as if it had never had 0.6
    assert asha.stopped[1].endswith("is rank 2 of 2; of every 2 the best goes on")
    assert asha.judge(1, 1, NAN) is False
    assert asha.judge(2, 1, 0.3) is False  # second of two: trial 1 counts no more


def test_verdict_that_was_lost_with_its_worker_is_given_anew():
    # Trial 2 is third of three and stopped; its worker dies before the end, and trained again it is first.
    asha = make_asha()
    judge_all(asha, 1, {0: 0.5, 1: 0.4})
    assert not asha.judge(2, 1, 0.3)
    assert asha.judge(2, 1, 0.6)
    assert 2 not in asha.stopped


def test_trials_too_far_behind_at_their_rung_are_let_go(monkeypatch):
    monkeypatch.setattr(scheduler, "_KEPT_PER_RUNG", 2)
    asha = make_asha(reduction_factor=2, epochs=8)
    judge_all(asha, 1, {0: 0.1, 1: 0.05, 2: 0.03, 3: 0.04, 4: 0.09})
    judge_all(asha, 2, {10: 0.01, 11: 0.005})
    # At epoch 1 wait 0.1, 0.05, 0.04, 0.03, for 4 was second of five: the last two are let go. At epoch 2 but two wait.
    assert asha.let_go() == [2, 3]
    assert [trial for trial in (*range(5), 10, 11) if asha.waits(trial)] == [0, 1, 10, 11]
    assert asha.let_go() == []
    # Ten results: five go on, which would be 2 and 3, too.
    judge_all(asha, 1, dict.fromkeys(range(20, 25), 0.001))
    promoted = []
    while (trial := asha.find_promoted()) is not None:
        promoted.append(trial)
        asha.revive(trial)
    assert promoted == [10, 0, 1]


@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    factor=st.integers(2, 5),
    order=st.randoms(use_true_random=False),
)
def test_a_trial_goes_on_exactly_when_it_is_among_the_best_share_so_far(scores, factor, order):
    asha = make_asha(reduction_factor=factor)
    trials = list(range(len(scores)))
    order.shuffle(trials)
    for count, trial in enumerate(trials, start=1):
        best = sorted(trials[:count], key=lambda number: (-scores[number], number))[: count // factor]
        goes_on = asha.judge(trial, 1, scores[trial])
        assert goes_on == (trial in best) == (trial not in asha.stopped)
        if not goes_on:
            asha.park(trial, 1)
        waiting = [number for number in best if asha.waits(number)]
        assert asha.find_promoted() == (waiting[0] if waiting else None)
        if waiting and order.random() < 0.5:
            asha.revive(waiting[0])


class Play:
    """A search of given curves, trained in turn by workers; everything goes into a history as `recorder` writes it.

    Args:
        curves: scores by epoch of each trial, all equally long; NaN stops it, None makes it fail.
        factor: of ASHA, which compares from the first epoch on.
        workers: trainings at a time.
        kills: steps before which ASHA is lost and replayed from the history.
    """

    def __init__(
        self, curves: Sequence[Sequence[float | None]], factor: int, workers: int, kills: set[int] = frozenset()
    ):
        self.curves, self.factor, self.workers, self.kills = curves, factor, workers, kills
        self.history, self.told = History(), []
        self.asha = self._make_asha()

    def _make_asha(self) -> Asha:
        return Asha(grace_epochs=1, reduction_factor=self.factor, epochs=len(self.curves[0]))

    def run(self) -> list[tuple]:
        """Play to the end and return what was decided."""
        running: list[int] = []
        for step in range(10_000):
            if step in self.kills:
                self.asha = self._make_asha()
                self.asha.replay(self.history)
            while len(running) < self.workers and (trial := self._hand_out()) is not None:
                running.append(trial)
            if not running:
                return self.told
            trial = running.pop(0)
            if self._train_epoch(trial):
                running.append(trial)
        raise AssertionError("it never ends")

    def _write(self, kind: str, trial: int, **content: object) -> None:
        self.history.apply({"event": kind, "time": 0.0, "trial": trial, **content})
        self.told.append((kind, trial, content.get("epoch"), content.get("outcome")))

    def _hand_out(self) -> int | None:
        count = len(self.history.trials)
        promoted = self.asha.find_promoted(last=count == len(self.curves))
        if promoted is not None:
            self.asha.revive(promoted)
            self._write("reopened", promoted)
            return promoted
        if count == len(self.curves):
            return None
        self._write("asked", count, fold=0, values={}, params={})
        return count

    def _train_epoch(self, trial: int) -> bool:
        epoch = self.history.trials[trial].last_epoch + 1
        score = self.curves[trial][epoch - 1]
        if score is None:
            self.asha.fail(trial)
            self._write("ended", trial, outcome="failed", message="")
            return False
        goes_on = self.asha.judge(trial, epoch, score)
        verdict, metrics = self.asha.stopped.get(trial, ""), {} if math.isnan(score) else {"iou": score}
        assert goes_on == (verdict == "")
        self._write("epoch", trial, epoch=epoch, metrics=metrics, picture=None, verdict=verdict)
        self._write("checkpoint", trial, epoch=epoch, path="checkpoint")
        if goes_on and epoch < len(self.curves[0]):
            return True
        outcome = Outcome.FINISHED if goes_on else Outcome.STOPPED
        self._write("ended", trial, outcome=str(outcome), message=verdict)
        if not goes_on and not math.isnan(score):
            self.asha.park(trial, epoch)
            for gone in self.asha.let_go():
                self._write("dropped", gone)
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
def test_a_search_killed_and_replayed_judges_and_promotes_as_the_uninterrupted_one(data, factor, workers, kills):
    curves = draw_curves(data, failing=True)
    whole, killed = (Play(curves, factor, workers, each).run() for each in (set(), kills))
    assert killed == whole


def test_a_replay_decides_nothing_and_lets_wait_who_can_go_on(make_history):
    def write(script):
        for trial in range(4):
            script.ask(trial)
            script.epochs(trial, 0.5 - trial / 10)
        for trial in range(3):
            script.journal.write(CheckpointSaved(trial=trial, epoch=1, path="checkpoint"))
            script.end(trial, "stopped by ASHA", "so it was")
        script.journal.write(Dropped(trial=2))
        script.end(3, "stopped by ASHA", "its last epoch has no checkpoint")

    asha = make_asha()
    asha.replay(make_history(write))
    assert asha.stopped == {0: "so it was", 1: "so it was"}
    assert [asha.waits(trial) for trial in range(4)] == [True, True, False, False]
    # Four results at the rung, of those that do not wait, too: a fifth is second, and one goes on.
    assert not asha.judge(4, 1, 0.45)
    assert asha.stopped[4] == "iou 0.4500 after epoch 1 is rank 2 of 5; of every 3 the best goes on"


def report(trial: int, epoch: int, **metrics: float) -> tuple[SimpleNamespace, dict]:
    """A trial and its result as Ray hands them to a scheduler: nested metrics flattened."""
    flat = {f"metrics/{name}": value for name, value in metrics.items()}
    return SimpleNamespace(config={"trial": trial}), {"epoch": epoch, "outcome": "", **flat}


def test_scheduler_hands_results_to_asha_and_verdicts_to_ray():
    judge = AshaScheduler(make_asha())
    reports = [report(trial, 1, iou=iou) for trial, iou in enumerate((0.3, 0.4, 0.5))]
    verdicts = [judge.on_trial_result(None, trial, result) for trial, result in reports]
    assert verdicts == [TrialScheduler.STOP, TrialScheduler.STOP, TrialScheduler.CONTINUE]
    assert judge.asha.stopped[1] == "iou 0.4000 after epoch 1 is rank 1 of 2; of every 3 the best goes on"
    assert judge.debug_string() == "ASHA compares after epochs 1, 3"


def test_scheduler_stops_a_trial_without_a_score():
    judge = AshaScheduler(make_asha())
    assert judge.on_trial_result(None, *report(0, 1, train_loss=1.0)) == TrialScheduler.STOP
    assert "NaN" in judge.asha.stopped[0]


def test_scheduler_lets_a_farewell_pass():
    """A trial that cannot go on reports an outcome without an epoch and ends by itself."""
    judge = AshaScheduler(make_asha())
    trial = SimpleNamespace(config={"trial": 0})
    verdict = judge.on_trial_result(None, trial, {"outcome": "diverged", "message": "loss is nan"})
    assert verdict == TrialScheduler.CONTINUE
    assert judge.asha.stopped == {}


def test_with_two_goals_what_nothing_beats_in_both_ranks_first():
    """Scores 0.6, 0.5, 0.4, 0.3 at 40, 50, 20, 10 ms: trial 1 is beaten by trial 0; the others are on one front."""
    asha = Asha(grace_epochs=1, reduction_factor=2, epochs=9, weighs_latency=True)
    for trial, (score, latency_ms) in enumerate(((0.6, 40.0), (0.5, 50.0), (0.4, 20.0), (0.3, 10.0))):
        asha.weigh(trial, latency_ms)
        if not asha.judge(trial, 1, score):
            asha.park(trial, 1)
    # Of four two go on: the better two of the first front. By score alone these would be 0 and 1.
    promoted = []
    while (trial := asha.find_promoted()) is not None:
        promoted.append(trial)
        asha.revive(trial)
    assert promoted == [0, 2]
    assert asha.waits(1) and asha.waits(3)
    assert "rank 2 of 2" in asha.stopped[1]


def test_latency_reaches_asha_with_the_first_epoch():
    scheduler = AshaScheduler(Asha(grace_epochs=1, reduction_factor=2, epochs=9, weighs_latency=True))
    for trial, (score, latency_ms) in enumerate(((0.5, 50.0), (0.4, 60.0), (0.3, 5.0))):
        result = {"epoch": 1, "metrics/iou": score, "metrics/latency_ms": latency_ms}
        decision = scheduler.on_trial_result(None, SimpleNamespace(config={"trial": trial}), result)
        if decision == "STOP":
            scheduler.asha.park(trial, 1)
    # Of three one goes on, and on the first front trial 0 is better than trial 2, which is behind it.
    assert "rank 2 of 3" in scheduler.asha.stopped[2]
    assert "rank 2 of 2" in scheduler.asha.stopped[1]
