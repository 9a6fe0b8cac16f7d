"""The few validation pictures that represent a search: the best, median and worst trial's, and the retraining's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from search.folder import StageFolder
from search.insight.record import Record
from search.memory.history import EpochRecord, TrialRecord

_MOST_RETRAINED: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A picture.

    Args:
        stage_name: `search` or `retrain`.
        stage: its files.
        trial: that drew it.
        epoch: that it was drawn after.
        says: which trial it is, in words.
    """

    stage_name: str
    stage: StageFolder
    trial: TrialRecord
    epoch: EpochRecord
    says: str


def choose_shown(record: Record) -> list[Shown]:
    """Return the pictures that show a search; without those of trials that have drawn none."""
    return [shown for shown in (*_choose_searched(record), *_choose_retrained(record)) if shown is not None]


def _choose_searched(record: Record) -> Iterator[Shown | None]:
    ranked = record.history.eligible or record.history.ranked
    middle = ranked[len(ranked) // 2 :][:1] if len(ranked) > 2 else []
    chosen = [("the best", ranked[:1]), ("the median", middle), ("the worst", ranked[-1:] if len(ranked) > 1 else [])]
    for word, trials in chosen:
        for trial in trials:
            yield _show(record, "search", trial, trial.best, f"trial {trial.number}, {word} of {len(ranked)}")


def _choose_retrained(record: Record) -> Iterator[Shown | None]:
    trainings = record.retraining.in_order if record.is_retraining_current else []
    for trial in trainings[:_MOST_RETRAINED]:
        place = f"fold {trial.fold}" if record.settings.folds > 1 else f"seed {trial.values['seed']}"
        yield _show(record, "retrain", trial, trial.epochs.get(trial.last_epoch), f"retrained, {place}")


def _show(record: Record, stage: str, trial: TrialRecord, wanted: EpochRecord | None, says: str) -> Shown | None:
    drawn = [each for each in trial.epochs.values() if each.picture is not None]
    near = wanted if wanted is not None and wanted.picture is not None else drawn[-1] if drawn else None
    if near is None:
        return None
    return Shown(stage_name=stage, stage=record.folder.stages[stage], trial=trial, epoch=near, says=says)
