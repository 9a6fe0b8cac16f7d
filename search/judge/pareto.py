"""Ranks trials by two goals at once, score and latency; with one goal nothing here is used.

Source: non-dominated sorting (Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", 2002), as
Schmucker et al. use it for successive halving ("Multi-objective Asynchronous Successive Halving", 2021).
"""

from collections.abc import Sequence
from operator import itemgetter

from search.memory.history import History, TrialRecord
from search.memory.outcome import FAILURES


def rank_fronts(scores: Sequence[float], costs: Sequence[float]) -> list[int]:
    """Return the front of each trial: 0 for those that no other beats in both, 1 for those that only these beat, ...

    Equals share a front; one that is as good in one and better in the other beats.

    Args:
        scores: higher is better.
        costs: lower is better; infinite where unknown.
    """
    fronts = [0] * len(scores)
    # Going from the best score down, what beats a trial comes before it: all that is left to compare are the costs.
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], costs[index]))
    cheapest: list[tuple[float, float]] = []
    for index in order:
        point = scores[index], costs[index]
        front = next(
            (f for f, least in enumerate(cheapest) if point == least or costs[index] < least[1]), len(cheapest)
        )
        cheapest[front : front + 1] = [point]
        fronts[index] = front
    return fronts


def find_front(history: History) -> list[TrialRecord]:
    """Return the trials on the first front of score and latency, the fastest first; of those that were measured."""
    known = [
        (trial, trial.best.score, trial.latency_ms)
        for trial in history.in_order
        if trial.best is not None and trial.latency_ms is not None and trial.outcome not in FAILURES
    ]
    fronts = rank_fronts([score for _, score, _ in known], [cost for _, _, cost in known])
    front = [(cost, trial) for (trial, _, cost), front in zip(known, fronts, strict=True) if front == 0]
    return [trial for _, trial in sorted(front, key=itemgetter(0))]
