import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
import pytest

from benchmarks.quality.arms import Ours, Random
from benchmarks.quality.drawing import find_distributions
from benchmarks.quality.recorded import read_searches
from benchmarks.quality.replay import Replay
from benchmarks.quality.simulator import Simulation, Verdict
from benchmarks.quality.stock import StockPair
from search.memory.outcome import Outcome
from segcore.errors import ConfigError

NAN = math.nan


@dataclass
class Scripted:
    """Proposes what it was given and stops nothing but what has no score."""

    waiting: list[dict[str, Any]]
    heard: list[tuple] = field(default_factory=list)
    count: int = 0

    def ask(self):
        if not self.waiting:
            return None
        self.count += 1
        return self.count - 1, self.waiting.pop(0)

    def report(self, number, epoch, score, seconds):
        self.heard.append((number, epoch, score))
        return Verdict.STOP if math.isnan(score) else Verdict.GO_ON

    def end(self, number, outcome, score):
        self.heard.append((number, outcome))


def load(past, *names: str) -> Replay:
    return Replay(read_searches(names, past.uri))


@pytest.fixture(scope="module")
def hand(past) -> Replay:
    return load(past, "hand")


@pytest.fixture
def proposal(past) -> Callable[..., dict[str, Any]]:
    """Return a function that completes what a trial of the store has to parameters of the demo space."""
    return lambda values: {"backbone": "tf_efficientnet_lite0", "loss": "ce", **values}


def scores_of(task: Replay, params: dict[str, Any], seed: int = 0) -> list[float]:
    return task.train(params, seed).scores.tolist()


def test_what_is_whole_is_replayed_as_it_was(hand, past, proposal):
    curve = hand.train(proposal(past.crop(96, past.MIDDLE)), 0)
    assert (curve.scores.tolist(), curve.seconds.tolist(), curve.final) == ([0.3, 0.5, 0.7, 0.8], [3.0] * 4, 0.8)
    assert not curve.out_of_memory


def test_what_was_stopped_goes_on_with_the_median_gain(hand, past, proposal):
    # Gains: after epoch 2 0.2, 0.2, 0.1; after epoch 3 0.1, 0.2; after epoch 4 0.1, 0.1.
    assert scores_of(hand, proposal(past.full(past.LOW))) == pytest.approx([0.1, 0.3, 0.45, 0.55])
    assert scores_of(hand, proposal(past.full(past.MIDDLE))) == pytest.approx([0.25, 0.35, 0.5, 0.6])
    assert hand.train(proposal(past.full(past.LOW)), 0).seconds.tolist() == [1.0] * 4


def test_figures_of_the_task(hand):
    # Finals 0.6, 0.55, 0.8, 0.6; they take 8, 4, 12 and 8 s; 8 + 1 + 12 + 4 + 2 s were recorded.
    assert (hand.epochs, hand.best, hand.middle, hand.worst) == (4, 0.8, pytest.approx(0.6), pytest.approx(0.55))
    assert (hand.whole_seconds, hand.spent_seconds) == (8.0, 27.0)
    assert hand.name == "recorded/hand"
    assert "6 trials (2 to the end, 1 diverged, 1 not trainable; 2 cut short" in hand.describe()
    assert "2 left out" in hand.describe() and "too few trials" in hand.describe()


def test_a_guess_is_never_better_than_what_was_reached(past, proposal):
    past.record(
        "capped",
        [
            (past.full(past.LOW), 1.0, (0.2, 0.3, 0.4, 0.42), "finished"),
            (past.full(past.HIGH), 1.0, (0.35,), "failed"),
        ],
    )
    task = load(past, "capped")
    # 0.35 with gains of 0.1 would be 0.45, 0.55 and 0.57.
    assert scores_of(task, proposal(past.full(past.HIGH))) == pytest.approx([0.35, 0.3, 0.4, 0.42])
    assert task.best == 0.42


def test_diverged_and_out_of_memory_come_back_as_such(hand, past, proposal):
    arm = Scripted([proposal(past.crop(64, past.HIGH)), proposal(past.crop(96, past.LOW))])
    run = Simulation(hand, arm, workers=1, budget_seconds=100, seed=0).run()
    assert arm.heard[0] == (0, 1, 0.28) and arm.heard[1][:2] == (0, 2) and math.isnan(arm.heard[1][2])
    assert arm.heard[2:] == [(0, Outcome.DIVERGED), (1, Outcome.OUT_OF_MEMORY)]
    # Two epochs of 2 s, and a tenth of the median epoch, 2 s.
    assert run.busy_seconds == pytest.approx(4.2)


def test_over_a_limit_is_replayed_as_what_cannot_be_trained(past, proposal):
    past.record(
        "limited",
        [
            (past.full(past.LOW), 1.0, (0.2, 0.3, 0.4, 0.5), "finished"),
            (past.full(past.HIGH), 1.0, (), "over a limit"),
        ],
    )
    curve = load(past, "limited").train(proposal(past.full(past.HIGH)), 0)
    assert curve.out_of_memory and math.isnan(curve.final)


def test_what_ended_by_its_patience_ends_there(past, proposal):
    past.record(
        "patient",
        [
            (past.full(past.LOW), 1.0, (0.2, 0.3, 0.3), "finished"),
            (past.full(past.HIGH), 1.0, (0.1, 0.2, 0.4, 0.5), "finished"),
        ],
    )
    arm = Scripted([proposal(past.full(past.LOW))])
    Simulation(load(past, "patient"), arm, workers=1, budget_seconds=100, seed=0).run()
    assert arm.heard == [(0, 1, 0.2), (0, 2, 0.3), (0, 3, 0.3), (0, Outcome.FINISHED)]


@pytest.mark.parametrize(
    ("place", "first"),
    [
        # The rate's place is 0.15 between LOW and MIDDLE, 0.5 apart from each other.
        (lambda past: past.full(1e-3 * 6**0.15), 0.1),
        # As to rates the middle is nearest, but a crop of another size is 1 apart: 0.26 + 0 against 0 + 1.
        (lambda past: past.crop(64, past.MIDDLE), 0.28),
        # No record resizes: those with full images lack the scale as this has, crops are 0.5 + (0.5 - place)^2 further.
        (lambda past: {"input_mode": "resize", "scale": 0.75, "learning_rate": past.HIGH}, 0.2),
    ],
)
def test_a_proposal_is_trained_as_the_nearest_record(hand, past, proposal, place, first):
    for _ in range(2):
        assert scores_of(hand, proposal(place(past)))[0] == first, "however often it is asked for"


def test_of_equally_near_records_the_seed_decides(past, proposal):
    for seed, last in ((0, 0.5), (1, 0.6)):
        values = (past.full(past.LOW), 1.0, (0.1, 0.2, 0.3, last), "finished")
        past.record(f"seed{seed}", [values], seed=seed)
    task = load(past, "seed0", "seed1")
    assert [task.train(proposal(past.full(past.LOW)), seed).final for seed in (0, 1, 2)] == [0.5, 0.6, 0.5]
    assert task.name == "recorded/seed0+seed1"


def test_the_space_draws_no_crop_that_is_larger_than_those_recorded(hand):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [study.ask() for _ in range(60)]
    for trial in drawn:
        hand.space(trial)
    assert {trial.params.get("crop_size") for trial in drawn} == {None, 64, 96}
    assert find_distributions(hand.space)["crop_size"].choices == (64, 96), "arms of other libraries know it too"


def test_fixed_parameters_do_not_count(past, proposal):
    """The space drew another loss than was trained; which one, MLflow does not know."""
    records = [
        (past.full(past.LOW), 1.0, (0.1, 0.2, 0.3, 0.4), "finished"),
        (past.crop(96, past.LOW), 1.0, (0.2, 0.3, 0.4, 0.5), "finished"),
    ]
    records = [({**values, "loss": "lovasz"}, *rest) for values, *rest in records]
    past.record("fixed-loss", records, fixed={"loss": "lovasz"})
    task = load(past, "fixed-loss")
    for loss in ("ce", "focal+jaccard"):
        assert scores_of(task, {**proposal(past.crop(96, past.LOW)), "loss": loss})[-1] == 0.5


@pytest.mark.parametrize("arm", [Ours, Random, StockPair])
def test_real_arms_search_it(hand, arm):
    run = Simulation(hand, arm(hand, 0), workers=2, budget_seconds=80, seed=0).run()
    assert len(run.trainings) > 5
    assert run.regret_at(80) < 1


def refuse(past, name: str, record, told: str, **changes) -> None:
    past.record(name, [record], **changes)
    with pytest.raises(ConfigError, match=told):
        load(past, name)


def test_search_of_another_space_is_refused(past):
    record = ({**past.full(past.LOW), "decoder_channels": 32}, 1.0, (0.1, 0.2, 0.3, 0.4), "finished")
    refuse(past, "changed", record, "its space 'demo' draws none of its recorded trials")


def test_search_without_a_whole_training_is_refused(past):
    record = (past.full(past.LOW), 1.0, (0.1, 0.2), "stopped by ASHA")
    refuse(past, "cut", record, "none of its 1 trials ran to its end")


def test_search_of_single_epochs_is_refused(past):
    record = (past.full(past.LOW), 1.0, (0.1,), "finished")
    refuse(past, "single", record, "trials of one epoch", epochs=1)


def test_searches_whose_scores_do_not_compare_are_refused(past):
    record = (past.full(past.LOW), 1.0, (0.1, 0.2, 0.3, 0.4), "finished")
    past.record("fold0", [record])
    past.record("fold1", [record], fold=1)
    with pytest.raises(ConfigError, match="fold0 and fold1 have unlike fold, 0 and 1"):
        load(past, "fold0", "fold1")


def test_searches_of_unlike_objectives_are_refused(past):
    record = (past.full(past.LOW), 1.0, (0.1, 0.2, 0.3, 0.4), "finished")
    past.record("contest", [record])
    past.record("other", [record], objective="miou")
    with pytest.raises(ConfigError, match="contest and other have unlike metric, iou and miou"):
        load(past, "contest", "other")


def test_scores_that_are_missing_stay_missing(past, proposal):
    past.record(
        "gap",
        [
            (past.full(past.LOW), 1.0, (0.2, 0.3, 0.4, 0.5), "finished"),
            (past.full(past.HIGH), 1.0, (0.2, None), "stopped by ASHA"),
        ],
    )
    scores = load(past, "gap").train(proposal(past.full(past.HIGH)), 0).scores
    assert scores[0] == 0.2 and np.isnan(scores[1:]).all()
