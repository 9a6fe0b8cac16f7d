import math
from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from search.judge.asha import Asha
from search.memory.events import Asked, Epoch
from search.run.scheduler import AshaScheduler


def make_scheduler(reduction_factor: int = 3, *, weighs_latency: bool = False) -> AshaScheduler:
    return AshaScheduler(
        Asha(grace_epochs=1, reduction_factor=reduction_factor, epochs=9, weighs_latency=weighs_latency, metric="iou")
    )


def report(scheduler: AshaScheduler, trial: int, epoch: int, **metrics: float) -> str:
    """Report as Ray Tune does, nested metrics flattened, to the scheduler first and then to the journal."""
    result = {"epoch": epoch, "outcome": "", **{f"metrics/{name}": value for name, value in metrics.items()}}
    decision = scheduler.on_trial_result(None, SimpleNamespace(config={"trial": trial}), result)
    scheduler.asha.apply(Asked(trial=trial, fold=0, values={}, params={}))
    known = {name: value for name, value in metrics.items() if math.isfinite(value)}
    scheduler.asha.apply(Epoch(trial=trial, epoch=epoch, metrics=known))
    return decision


def test_scheduler_hands_results_to_asha_and_verdicts_to_ray():
    """Of three one goes on, the best; of fewer none."""
    scheduler = make_scheduler()
    verdicts = [report(scheduler, trial, 1, iou=iou) for trial, iou in enumerate((0.3, 0.4, 0.5))]
    assert verdicts == [TrialScheduler.STOP, TrialScheduler.STOP, TrialScheduler.CONTINUE]
    assert scheduler.debug_string() == "ASHA compares after epochs 1, 3"


def test_a_result_that_the_journal_has_not_yet_is_counted_once():
    """Ray asks the scheduler before the recorder has written the epoch; asked again it says the same."""
    scheduler = make_scheduler(reduction_factor=2)
    report(scheduler, 0, 1, iou=0.5)
    trial, result = SimpleNamespace(config={"trial": 1}), {"epoch": 1, "metrics/iou": 0.6}
    assert [scheduler.on_trial_result(None, trial, result) for _ in range(3)] == [TrialScheduler.CONTINUE] * 3
    assert "rank 2 of 2" in scheduler.asha.decide(2, 1, 0.4), "trial 1 is not there before its event"


@pytest.mark.parametrize("metrics", [{"train_loss": 1.0}, {"iou": math.nan}])
def test_scheduler_stops_a_trial_without_a_score(metrics):
    assert report(make_scheduler(), 0, 1, **metrics) == TrialScheduler.STOP


def test_scheduler_lets_a_farewell_pass():
    """A trial that cannot go on reports an outcome without an epoch and ends by itself."""
    trial = SimpleNamespace(config={"trial": 0})
    verdict = make_scheduler().on_trial_result(None, trial, {"outcome": "diverged", "message": "loss is nan"})
    assert verdict == TrialScheduler.CONTINUE


def test_latency_reaches_asha_with_the_first_epoch():
    """Trial 2 is the worst and by far the fastest: on the first front, behind trial 0. Of three one goes on."""
    scheduler = make_scheduler(reduction_factor=2, weighs_latency=True)
    trials = enumerate(((0.5, 50.0), (0.4, 60.0), (0.3, 5.0)))
    decisions = [report(scheduler, trial, 1, iou=iou, latency_ms=latency) for trial, (iou, latency) in trials]
    assert decisions == [TrialScheduler.STOP] * 3
    assert "rank 3 of 4" in scheduler.asha.decide(3, 1, 0.2, 4.0), "0 and 2 are better on the first front, 1 is behind"


def test_a_worker_that_is_starting_for_a_trial_is_left_to_it():
    """Ray Tune asks at every step; the first trial's worker starts for long, on a node that has just joined."""
    scheduler = AshaScheduler(None)
    trials = [Trial("no_trainable", stub=True, trial_id=name) for name in "ab"]
    controller = SimpleNamespace(get_trials=lambda: trials)
    assert scheduler.choose_trial_to_run(controller).trial_id == "a"
    trials[1].status = Trial.RUNNING
    assert scheduler.choose_trial_to_run(controller) is None
    # b has ended, and c is handed out: the worker of b is for c.
    trials[1].status = Trial.TERMINATED
    trials.append(Trial("no_trainable", stub=True, trial_id="c"))
    assert scheduler.choose_trial_to_run(controller).trial_id == "c"
    assert scheduler.choose_trial_to_run(controller) is None


def test_trials_of_a_long_search_that_were_seen_are_not_looked_at_again():
    scheduler, trials = AshaScheduler(None), [Trial("no_trainable", stub=True)]
    controller = SimpleNamespace(get_trials=lambda: trials)
    assert scheduler.choose_trial_to_run(controller) is trials[0]
    trials[0] = None
    assert scheduler.choose_trial_to_run(controller) is None


def test_without_asha_every_trial_finishes():
    scheduler = AshaScheduler(None)
    assert scheduler.on_trial_result(None, SimpleNamespace(), {"epoch": 1}) == TrialScheduler.CONTINUE
    assert scheduler.debug_string() == "every trial finishes"
