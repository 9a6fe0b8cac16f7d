import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler

from search.scheduler import Asha, AshaScheduler, rung_epochs

NAN = math.nan


def make_asha(grace_epochs: int = 1, reduction_factor: int = 3, epochs: int = 9) -> Asha:
    return Asha(grace_epochs=grace_epochs, reduction_factor=reduction_factor, epochs=epochs)


def judge_all(asha: Asha, epoch: int, scores: dict[int, float]) -> dict[int, bool]:
    """Judge trials in the order given."""
    return {trial: asha.judge(trial, epoch, score) for trial, score in scores.items()}


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
    """Rung of epoch 1, factor 3: of n results the best ceil(n / 3) go on, judged as each arrives."""
    asha = make_asha()
    scores = {0: 0.50, 1: 0.40, 2: 0.30, 3: 0.60, 4: 0.45, 5: 0.55, 6: 0.58}
    assert judge_all(asha, 1, scores) == {
        0: True,  # 1 result, fewer than 3: nobody is compared
        1: True,  # 2 results
        2: False,  # 3 results, ceil(3/3) = 1 goes on; 0.30 is third
        3: True,  # 4 results, ceil(4/3) = 2; 0.60 is first
        4: False,  # 5 results, 2 go on; 0.60 0.50 0.45: third
        5: True,  # 6 results, 2 go on; 0.60 0.55: second
        6: True,  # 7 results, ceil(7/3) = 3; 0.60 0.58: second
    }
    assert sorted(asha.stopped) == [2, 4]
    assert asha.stopped[4] == "iou 0.4500 after epoch 1 is rank 3 of 5; the best 2 go on"


def test_rungs_are_judged_apart():
    asha = make_asha()
    judge_all(asha, 1, {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.85})
    # Epoch 3 has one result, whatever epoch 1 holds.
    assert asha.judge(3, 3, 0.1)
    assert asha.rungs[3] == {3: 0.1}


def test_fewer_results_than_the_factor_stop_nobody():
    asha = make_asha(reduction_factor=4)
    assert judge_all(asha, 1, {0: 0.9, 1: 0.1, 2: 0.0}) == {0: True, 1: True, 2: True}
    assert asha.judge(3, 1, 0.05) is False  # the fourth: 1 of 4 goes on


def test_between_rungs_nobody_stops():
    asha = make_asha()
    judge_all(asha, 1, {0: 0.9, 1: 0.8, 2: 0.7})
    assert asha.judge(2, 2, 0.0)
    assert asha.rungs == {1: {0: 0.9, 1: 0.8, 2: 0.7}, 3: {}}


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
    assert asha.rungs[3] == {}


def test_equal_scores_are_ranked_by_number_so_a_tie_does_not_let_all_pass():
    asha = make_asha()
    # All equal. Third to arrive: 1 of 3 goes on, the lowest number, 3.
    assert judge_all(asha, 1, {3: 0.5, 7: 0.5, 5: 0.5}) == {3: True, 7: True, 5: False}
    # 4 results, 2 go on: 1 and 3; 5 results, 2 go on: 6 is fourth behind 1, 3, 5.
    assert judge_all(asha, 1, {1: 0.5, 6: 0.5}) == {1: True, 6: False}


def test_an_epoch_reported_again_replaces_its_score():
    """A restarted trial trains again what came after its checkpoint; it still counts as one result."""
    asha = make_asha()
    judge_all(asha, 1, {0: 0.5, 1: 0.6})
    assert asha.judge(1, 1, 0.7)
    assert asha.rungs[1] == {0: 0.5, 1: 0.7}


@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    factor=st.integers(2, 5),
    order=st.randoms(use_true_random=False),
)
def test_the_best_so_far_is_never_stopped_and_never_more_than_a_share_goes_on(scores, factor, order):
    asha = make_asha(reduction_factor=factor)
    trials = list(range(len(scores)))
    order.shuffle(trials)
    seen: dict[int, float] = {}
    for trial in trials:
        seen[trial] = scores[trial]
        goes_on = asha.judge(trial, 1, scores[trial])
        best = max(seen, key=lambda number: (seen[number], -number))
        better = sum((seen[other], -other) > (seen[trial], -trial) for other in seen)
        if trial == best or len(seen) < factor:
            assert goes_on
        else:
            assert goes_on == (better < math.ceil(len(seen) / factor))
        assert goes_on == (trial not in asha.stopped)


def test_rungs_replayed_from_a_journal_are_those_of_the_live_search(make_history):
    live = make_asha()
    curves = {0: [0.5, 0.6, 0.65, 0.7], 1: [0.4, 0.5, NAN], 2: [0.3], 3: [0.6, 0.61, 0.62], 4: [NAN]}
    for trial, curve in curves.items():
        for epoch, score in enumerate(curve, start=1):
            live.judge(trial, epoch, score)

    def write(script):
        for trial, curve in curves.items():
            script.ask(trial)
            script.epochs(trial, *(None if math.isnan(score) else score for score in curve))

    replayed = make_asha()
    replayed.replay(make_history(write))
    # By hand: epoch 1 has all but the NaN of trial 4, epoch 3 all but the NaN of trial 1.
    assert live.rungs == {1: {0: 0.5, 1: 0.4, 2: 0.3, 3: 0.6}, 3: {0: 0.65, 3: 0.62}}
    assert replayed.rungs == live.rungs
    assert replayed.stopped == {}, "a replay decides nothing"


@given(
    curves=st.lists(st.lists(st.floats(0, 1), min_size=9, max_size=9), min_size=1, max_size=8),
    cut=st.integers(0, 71),
)
def test_a_resumed_asha_judges_as_the_uninterrupted_one(curves, cut):
    """Results arrive epoch by epoch; after `cut` of them the driver dies and a new one replays the journal."""
    results = [(trial, epoch, curve[epoch - 1]) for epoch in range(1, 10) for trial, curve in enumerate(curves)]
    before, after = results[:cut], results[cut:]
    whole = make_asha(reduction_factor=2)
    seen: dict[int, dict[int, float]] = {trial: {} for trial in range(len(curves))}
    for trial, epoch, score in before:
        whole.judge(trial, epoch, score)
        seen[trial][epoch] = score
    resumed = make_asha(reduction_factor=2)
    resumed.replay(SimpleNamespace(in_order=[_record(trial, scores) for trial, scores in seen.items()]))
    assert [resumed.judge(*result) for result in after] == [whole.judge(*result) for result in after]


def _record(number: int, scores: dict[int, float]) -> SimpleNamespace:
    return SimpleNamespace(number=number, epochs={epoch: SimpleNamespace(iou=iou) for epoch, iou in scores.items()})


def report(trial: int, epoch: int, **metrics: float) -> tuple[SimpleNamespace, dict]:
    """A trial and its result as Ray hands them to a scheduler: nested metrics flattened."""
    flat = {f"metrics/{name}": value for name, value in metrics.items()}
    return SimpleNamespace(config={"trial": trial}), {"epoch": epoch, "outcome": "", **flat}


def test_scheduler_hands_results_to_asha_and_verdicts_to_ray():
    scheduler = AshaScheduler(make_asha())
    reports = [report(trial, 1, iou=iou) for trial, iou in enumerate((0.5, 0.4, 0.3))]
    verdicts = [scheduler.on_trial_result(None, trial, result) for trial, result in reports]
    assert verdicts == [TrialScheduler.CONTINUE, TrialScheduler.CONTINUE, TrialScheduler.STOP]
    assert scheduler.asha.rungs[1] == {0: 0.5, 1: 0.4, 2: 0.3}
    assert scheduler.debug_string() == "epoch 1: 3 trials, epoch 3: 0 trials"


def test_scheduler_stops_a_trial_without_a_score():
    scheduler = AshaScheduler(make_asha())
    assert scheduler.on_trial_result(None, *report(0, 1, train_loss=1.0)) == TrialScheduler.STOP
    assert "NaN" in scheduler.asha.stopped[0]


def test_scheduler_lets_a_farewell_pass():
    """A trial that cannot go on reports an outcome without an epoch and ends by itself."""
    scheduler = AshaScheduler(make_asha())
    trial = SimpleNamespace(config={"trial": 0})
    verdict = scheduler.on_trial_result(None, trial, {"outcome": "diverged", "message": "loss is nan"})
    assert verdict == TrialScheduler.CONTINUE
    assert scheduler.asha.stopped == {}


def test_verdict_that_was_lost_with_its_worker_is_given_anew():
    # Trial 2 is third of three and stopped; its worker dies before the end, and trained again it is first.
    asha = Asha(grace_epochs=1, reduction_factor=3, epochs=9)
    assert asha.judge(0, 1, 0.5) and asha.judge(1, 1, 0.4)
    assert not asha.judge(2, 1, 0.3)
    assert asha.judge(2, 1, 0.6)
    assert 2 not in asha.stopped
