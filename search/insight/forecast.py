"""What a search would take, before it begins: its epochs by ASHA's rule, its hours from a short measurement.

How long an epoch takes is measured in `run.measuring`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, Final

from search.judge.asha import rung_epochs
from search.place import Place
from search.settings import SearchSettings
from search.verdict.rounds import count_retrainings, count_trainings

_HOUR_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """How many trials are expected to be trained to an epoch.

    Args:
        epoch: finished epochs.
        trials: that get there.
    """

    epoch: int
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeTime:
    """How long an epoch of an input mode takes.

    Args:
        mode: crop, resize or full.
        share: of the configurations that the space draws, 0 to 1.
        seconds: of an epoch, of each configuration that was measured; those that could not be are left out.
        start_seconds: of each of them, that pass before its first epoch and slow that one down.
        memory_gib: the most of them.
        problems: why others could not be measured.
    """

    mode: str
    share: float
    seconds: tuple[float, ...]
    start_seconds: tuple[float, ...]
    memory_gib: float
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageForecast:
    """What a stage would take.

    Args:
        stage: search, confirm or retrain.
        trainings: at most.
        epochs: of all of them; of the search, as ASHA is expected to decide.
        start_share: of the hours, in which trainings start, 0 to 1; NaN where nothing was measured.
        hours: on the clock; likewise.
        device_hours: of GPUs, or of cores where trials have no GPU; likewise.
    """

    stage: str
    trainings: int
    epochs: int
    start_share: float
    hours: float
    device_hours: float


def expect_rungs(settings: SearchSettings) -> list[Rung]:
    """Return how many trials are expected at each rung and at the end, when one of every so many goes on."""
    factor, epochs = settings.reduction_factor, settings.epochs
    rungs = [Rung(epoch=0, trials=settings.trials)]
    for epoch in (*rung_epochs(settings.resolved_grace_epochs, factor, epochs), epochs):
        # All reach the first rung; from there on shares are rounded up at the end of a search.
        trials = settings.trials if len(rungs) == 1 else math.ceil(rungs[-1].trials / factor)
        rungs.append(Rung(epoch=epoch, trials=trials))
    return rungs[1:]


def expect_epochs(settings: SearchSettings) -> int:
    """Return the epochs of all trials together that a search is expected to train."""
    found, before = 0, 0
    for rung in expect_rungs(settings):
        found, before = found + rung.trials * (rung.epoch - before), rung.epoch
    return found


def expect_starts(settings: SearchSettings) -> int:
    """Return how often trials start at most: one that is judged worth more later on starts again."""
    return sum(rung.trials for rung in expect_rungs(settings))


def forecast_stages(
    settings: SearchSettings, place: Place, modes: Sequence[ModeTime], at_once: int
) -> list[StageForecast]:
    """Return what the stages of a search would take, the retraining too.

    Args:
        settings: of the search.
        place: what a trial has of GPUs and cores.
        modes: what was measured.
        at_once: trials at a time.
    """
    confirmations = count_trainings(settings) if settings.confirm > 1 else 0
    retrainings = count_retrainings(settings)
    counted = [("search", settings.trials, expect_epochs(settings), expect_starts(settings))]
    counted += [
        (stage, count, count * settings.epochs, count)
        for stage, count in (("confirm", confirmations), ("retrain", retrainings))
        if count
    ]
    return [
        _forecast(stage, trainings, epochs, starts, modes, place, at_once)
        for stage, trainings, epochs, starts in counted
    ]


def mean_seconds(modes: Sequence[ModeTime]) -> float:
    """Return the seconds of a mean epoch, each mode weighed by how often it is drawn; NaN where none was measured."""
    return _weigh([(mode.share, mode.seconds) for mode in modes])


def mean_start_seconds(modes: Sequence[ModeTime]) -> float:
    """Return the seconds of a mean start, as `mean_seconds`."""
    return _weigh([(mode.share, mode.start_seconds) for mode in modes])


def _weigh(seconds_by_share: Sequence[tuple[float, tuple[float, ...]]]) -> float:
    known = [(share, mean(seconds)) for share, seconds in seconds_by_share if seconds]
    weight = sum(share for share, _ in known)
    return sum(share * seconds for share, seconds in known) / weight if weight else math.nan


def group_modes(drawn: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return drawn configurations by their input mode, the mode that is drawn most often first."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for values in drawn:
        groups.setdefault(str(values["input_mode"]), []).append(values)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def _forecast(
    stage: str, trainings: int, epochs: int, starts: int, modes: Sequence[ModeTime], place: Place, at_once: int
) -> StageForecast:
    workers = max(1, min(at_once, trainings))
    starting = starts * mean_start_seconds(modes)
    seconds = starting + epochs * mean_seconds(modes)
    return StageForecast(
        stage=stage,
        trainings=trainings,
        epochs=epochs,
        start_share=starting / seconds,
        hours=seconds / _HOUR_SECONDS / workers,
        device_hours=seconds / _HOUR_SECONDS * (place.gpus_per_trial or place.cpus_per_trial),
    )
