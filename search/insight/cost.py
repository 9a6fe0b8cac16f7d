"""What a search cost, stage by stage: devices' hours, hours on the clock, and what ASHA spared.

What trials of one kind of end took of the search itself says `spending`.
"""

from dataclasses import dataclass
from typing import Final

from search.folder import CONFIRM_FOLDER
from search.insight.record import Record
from search.insight.spending import worker_seconds
from search.memory.history import History, TrialRecord
from search.memory.outcome import Outcome
from search.place import Place

_HOUR_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """What a stage cost.

    Args:
        stage: `search`, `confirm` or `retrain`.
        trainings: that it ran; those that it took over from another stage are that one's.
        epochs: of them that stand; one that was trained twice counts once.
        worker_seconds: that workers trained and validated them.
        device_hours: the same in hours of GPUs, or of processor cores where there are none.
        seconds: on the clock, pauses left out.
    """

    stage: str
    trainings: int
    epochs: int
    worker_seconds: float
    device_hours: float
    seconds: float


def account_stages(record: Record) -> list[StageCost]:
    """Return what each stage cost that has begun, in order."""
    return [_account(name, history, record.place) for name, history in record.stages.items()]


def name_device_hours(place: Place) -> str:
    """Return what `device_hours` are hours of."""
    return "GPU-hours" if place.gpus_per_trial else "core-hours"


def is_taken_over(training: TrialRecord) -> bool:
    """Say whether a training of the retraining was run by the confirmation."""
    return (training.checkpoint or "").startswith(f"../{CONFIRM_FOLDER}/")


def count_spared_epochs(record: Record) -> int:
    """Return how many epochs the trials that wait would have taken to their end."""
    waiting = [trial for trial in record.history.in_order if trial.outcome is Outcome.STOPPED]
    return sum(max(0, record.settings.epochs - trial.last_epoch) for trial in waiting)


def _account(name: str, history: History, place: Place) -> StageCost:
    own = [training for training in history.in_order if not is_taken_over(training)]
    seconds = sum(worker_seconds(training) for training in own)
    return StageCost(
        stage=name,
        trainings=len(own),
        epochs=sum(training.last_epoch for training in own),
        worker_seconds=seconds,
        device_hours=seconds * (place.gpus_per_trial or place.cpus_per_trial) / _HOUR_SECONDS,
        seconds=history.spent_seconds,
    )
