"""The rounds in which the best configurations are trained anew: further folds, or further seeds on the only fold.

A round is a number: its fold, or, where there is one fold, what its trainings add to the seeds of their configurations.
What a round decides lives in `race`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from search.memory.history import TrialRecord
from search.settings import SearchSettings

_SEEDS: Final = 2**31
"""A seed is below it."""


def further_folds(settings: SearchSettings) -> list[int]:
    """Return the folds to confirm on, those after the search's fold; none when there is no other."""
    others = [(settings.fold + step) % settings.folds for step in range(1, settings.folds)]
    return others[: settings.confirm_folds]


def further_rounds(settings: SearchSettings) -> list[int]:
    """Return the rounds of a confirmation in their order."""
    return list(range(1, settings.confirm_folds + 1)) if settings.folds == 1 else further_folds(settings)


def count_trainings(settings: SearchSettings) -> int:
    """Return the most trainings that a confirmation runs."""
    return settings.confirm * len(further_rounds(settings))


def count_retrainings(settings: SearchSettings) -> int:
    """Return how many trainings a retraining runs: one for each fold, or for each further seed of the only one."""
    return settings.folds if settings.folds > 1 else settings.confirm_folds


def count_planned(stage: str, settings: SearchSettings) -> int:
    """Return how many trainings a stage has: search, confirm, which may end with fewer, or retrain, of the winner."""
    counts = {"search": settings.trials, "confirm": count_trainings(settings), "retrain": count_retrainings(settings)}
    return counts[stage]


def retraining_seeds(values: Mapping[str, Any], settings: SearchSettings) -> list[int]:
    """Return the seeds that the winner is retrained with on the only fold, those of its confirmation; else none."""
    if settings.folds > 1:
        return []
    return [place_training(values, number, settings)[1]["seed"] for number in further_rounds(settings)]


def place_training(values: Mapping[str, Any], number: int, settings: SearchSettings) -> tuple[int, dict[str, Any]]:
    """Return the fold and the values of a configuration's training in a round.

    Args:
        values: of the configuration, with its own seed.
        number: the round.
        settings: the search's settings.
    """
    if settings.folds > 1:
        return number, dict(values)
    return settings.fold, {**values, "seed": (values["seed"] + number) % _SEEDS}


def index_trainings(
    candidates: Iterable[TrialRecord], trainings: Iterable[TrialRecord], settings: SearchSettings
) -> dict[tuple[int, int], TrialRecord]:
    """Return the trainings of candidates by candidate and round.

    Args:
        candidates: trials of the search.
        trainings: those of the confirmation, or of a retraining of one candidate.
        settings: the search's settings.
    """
    known = {trial.number: trial for trial in candidates}
    return {
        (training.source, _round_of(training, known[training.source], settings)): training
        for training in trainings
        if training.source is not None and training.source in known
    }


def name_round(number: int, settings: SearchSettings) -> str:
    """Return a round in words, such as on fold 3."""
    return f"with seed +{number}" if settings.folds == 1 else f"on fold {number}"


def tell_rounds(count: int, settings: SearchSettings) -> str:
    """Say what a winner was confirmed with, and where that is all there is."""
    several = "s" if count > 1 else ""
    if settings.folds > 1:
        return f"confirmed on {count} further fold{several}"
    where = "the official split" if settings.split == "official" else "the only fold"
    return f"confirmed with {count} further seed{several} on {where}; no further folds exist"


def _round_of(training: TrialRecord, candidate: TrialRecord, settings: SearchSettings) -> int:
    if settings.folds > 1:
        return training.fold
    found: int = (training.values["seed"] - candidate.values["seed"]) % _SEEDS
    return found
