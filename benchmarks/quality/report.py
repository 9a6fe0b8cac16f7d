"""Turns runs into the tables that the ruler prints: regret, area, time to the stock result, waste, ranks."""

from dataclasses import dataclass

import numpy as np

from benchmarks.quality.simulator import Run
from benchmarks.quality.tasks import Floats, Task

STOCK = "optuna-search+asha"
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What is kept of one run.

    Args:
        arm, task, seed: which run it is.
        regret: at the end, 0 to 1.
        area: mean regret over the time.
        reached: share of the time after which it is as good as the stock pair in the end; infinity: never.
        wasted, idle: shares of the workers' time.
        trials: how many were begun.
        decision_ms: milliseconds of processor time that the arm took, per trial.
    """

    arm: str
    task: str
    seed: int
    regret: float
    area: float
    reached: float
    wasted: float
    idle: float
    trials: int
    decision_ms: float


def score_run(arm: str, task: Task, seed: int, run: Run, stock: Run | None) -> Score:
    """Measure a run, against the stock pair's under the same seed."""
    reached = run.reaches(stock.regret_at(stock.budget_seconds)) if stock is not None else float("inf")
    return Score(
        arm=arm,
        task=task.name,
        seed=seed,
        regret=run.regret_at(run.budget_seconds),
        area=run.area,
        reached=reached / run.budget_seconds,
        wasted=run.wasted_share(task.middle),
        idle=run.idle_share,
        trials=len(run.trainings),
        decision_ms=run.decision_ms,
    )


def describe(scores: list[Score]) -> str:
    """Return the tables as text: one over all tasks, one of regrets by task."""
    arms = list(dict.fromkeys(score.arm for score in scores))
    tasks = list(dict.fromkeys(score.task for score in scores))
    lines = [
        f"{len(tasks)} tasks; regret: 0 is the task's best configuration, 1 its median; ranks of {len(arms)} arms, 1 "
        "is best, with 95 % intervals over seeds",
        f"{'arm':24}{'rank at end':>20}{'rank of area':>20}{'regret':>8}{'area':>7}{'time to stock':>15}"
        f"{'wasted':>8}{'idle':>6}{'trials':>8}{'ms':>7}",
    ]
    end_ranks, area_ranks = (_ranks(scores, arms, tasks, name) for name in ("regret", "area"))
    for index, arm in enumerate(arms):
        own = [score for score in scores if score.arm == arm]
        lines.append(
            f"{arm:24}{_interval(end_ranks[index]):>20}{_interval(area_ranks[index]):>20}{_mean(own, 'regret'):8.3f}"
            f"{_mean(own, 'area'):7.3f}{_describe_time(own):>15}{_mean(own, 'wasted'):8.2f}{_mean(own, 'idle'):6.2f}"
            f"{_mean(own, 'trials'):8.0f}{_mean(own, 'decision_ms'):7.1f}"
        )
    lines += ["", f"{'regret at the end':24}" + "".join(f"{_shorten(task):>14}" for task in tasks)]
    for arm in arms:
        cells = [_mean([s for s in scores if s.arm == arm and s.task == task], "regret") for task in tasks]
        lines.append(f"{arm:24}" + "".join(f"{cell:14.3f}" for cell in cells))
    return "\n".join(lines)


def _ranks(scores: list[Score], arms: list[str], tasks: list[str], measure: str) -> Floats:
    """Return ranks by arm and seed, averaged over tasks; equals share their ranks."""
    seeds = sorted({score.seed for score in scores})
    values = {(score.arm, score.task, score.seed): float(getattr(score, measure)) for score in scores}
    ranks_STA = np.array(
        [[_rank(np.array([values[arm, task, seed] for arm in arms])) for task in tasks] for seed in seeds]
    )
    by_arm: Floats = ranks_STA.mean(axis=1).T
    return by_arm


def _rank(values: Floats) -> Floats:
    less = values[:, None] > values[None, :] + 1e-9
    equal = np.abs(values[:, None] - values[None, :]) <= 1e-9
    ranks: Floats = less.sum(axis=1) + (equal.sum(axis=1) + 1) / 2
    return ranks


def _interval(ranks: Floats) -> str:
    draws = np.random.default_rng(0).integers(len(ranks), size=(_RESAMPLES, len(ranks)))
    low, high = np.percentile(ranks[draws].mean(axis=1), [2.5, 97.5])
    return f"{ranks.mean():.2f} ({low:.2f}-{high:.2f})"


def _mean(scores: list[Score], measure: str) -> float:
    return float(np.mean([getattr(score, measure) for score in scores]))


def _describe_time(scores: list[Score]) -> str:
    reached = np.array([score.reached for score in scores])
    middle = float(np.median(reached))
    share = float(np.isfinite(reached).mean())
    return f"{middle:.2f} ({share:.0%})" if np.isfinite(middle) else f">1 ({share:.0%})"


def _shorten(task: str) -> str:
    source, _, name = task.rpartition("/")
    return f"{source[:4]} {name[-8:]}"
