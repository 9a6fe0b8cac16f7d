"""What is known of one trial, and what an event makes of it; all trials of a stage are in `history`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from search.memory.events import (
    Asked,
    CheckpointSaved,
    Dropped,
    Ended,
    Epoch,
    Kept,
    Pruned,
    Reopened,
    Restarted,
    Started,
    TrialEvent,
)
from search.memory.metrics import Metrics
from search.memory.outcome import Outcome

WHOLE: Final = "validation"
"""What a picture shows that is not of one condition."""
_NO_PICTURES: Final[Mapping[str, str]] = {}
"""One for all reports without, which are most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """What a trial reported after an epoch.

    Args:
        epoch: finished epochs, from 1.
        metrics: numbers by MLflow metric name.
        score: that of the metric that decides; NaN when it was not reported.
        time: seconds since the Unix epoch.
        picture: file of the first of its validation pictures, or None.
        pictures: files of all of them by what they show.
        verdict: why ASHA stopped the trial on this report; empty when it went on, at once or later.
        image_scores: see `events.Epoch`.
    """

    epoch: int
    metrics: Mapping[str, float]
    score: float
    time: float
    picture: str | None = None
    pictures: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    image_scores: dict[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """What is known of one trial; an event makes a new record, so that one that is shown never changes.

    Args:
        number: 0-based.
        fold: fold that it is scored on.
        values: every `TrainConfig` value.
        params: what the space drew.
        started: seconds since the Unix epoch; when it was asked, until a worker took it.
        epochs: reports by epoch, in order.
        checkpoint: place of the last checkpoint, relative to the stage's folder, or None.
        checkpoint_epoch: finished epochs in it.
        earlier: place of the checkpoint before it, for when the last one is torn; None once the trial needs it no more.
        earlier_epoch: finished epochs in that.
        outcome: how it ended, or None.
        message: why it ended so.
        ended: seconds since the Unix epoch, or None.
        restarts: how often its worker died and it went on.
        fault: what is known of why its worker died last.
        running: whether a worker has it now, as far as the journal knows.
        source: the search's trial whose configuration it trains again; None in a search.
        drawable: whether the space could have drawn it; the sampler knows nothing of one that it could not.
        accelerator: kind of GPU that it needs, as Ray names it; None: any.
        too_small: kinds of GPU that had too little memory for it.
        heard: when it last started or reported, seconds since the Unix epoch.
        kept: whether ASHA is to spare it.
        pruned: who wants it ended, and why; empty as long as nobody does.
        note: what of its training was last said to be slower than its machine could be, and why.
        first_rung: finished epochs before which ASHA does not judge it, see `events.Asked`.
    """

    number: int
    fold: int
    values: dict[str, Any]
    params: dict[str, Any]
    started: float
    epochs: dict[int, EpochRecord] = field(default_factory=dict)
    checkpoint: str | None = None
    checkpoint_epoch: int = 0
    earlier: str | None = None
    earlier_epoch: int = 0
    outcome: Outcome | None = None
    message: str = ""
    ended: float | None = None
    restarts: int = 0
    fault: str = ""
    running: bool = False
    source: int | None = None
    drawable: bool = True
    accelerator: str | None = None
    too_small: frozenset[str] = frozenset()
    heard: float = 0.0
    kept: bool = False
    pruned: str = ""
    note: str = ""
    first_rung: int = 0

    @property
    def best(self) -> EpochRecord | None:
        """The report with the highest score that is not NaN, the earliest of equals; None before one exists."""
        scored = [record for record in self.epochs.values() if not math.isnan(record.score)]
        return max(scored, key=lambda record: (record.score, -record.epoch), default=None)

    @property
    def best_score(self) -> float:
        """The highest score; NaN before one exists."""
        best = self.best
        return math.nan if best is None else best.score

    @property
    def state(self) -> str:
        """How it ended, or whether a worker has it, in words."""
        return str(self.outcome or ("running" if self.running else "waiting"))

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds of a prediction, None where it was not measured."""
        return next((r.metrics["latency_ms"] for r in self.epochs.values() if "latency_ms" in r.metrics), None)

    @property
    def can_go_on(self) -> bool:
        """Whether there is a checkpoint of its last epoch."""
        return self.checkpoint is not None and self.checkpoint_epoch == self.last_epoch

    @property
    def checkpoints(self) -> dict[str, int]:
        """Places of its checkpoints with the finished epochs in them, the last one first."""
        known = ((self.checkpoint, self.checkpoint_epoch), (self.earlier, self.earlier_epoch))
        return {place: epoch for place, epoch in known if place is not None}

    @property
    def last_epoch(self) -> int:
        """Finished epochs."""
        return max(self.epochs, default=0)


def ask(event: Asked) -> TrialRecord:
    """Return the record of a trial that was proposed just now."""
    return TrialRecord(
        number=event.trial,
        fold=event.fold,
        values=event.values,
        params=event.params,
        started=event.time,
        heard=event.time,
        source=event.source,
        drawable=event.drawable,
        first_rung=event.first_rung,
    )


def follow(trial: TrialRecord, event: TrialEvent, metric: str) -> TrialRecord:
    """Return the record of a trial after an event of it.

    Args:
        trial: its record before.
        event: what happened to it.
        metric: what decides, see `segcore.scoring.objective`.
    """
    match event:
        case Started():
            started = trial.started if trial.epochs else event.time
            return replace(trial, running=True, started=started, heard=event.time)
        case Epoch():
            before = {epoch: record for epoch, record in trial.epochs.items() if epoch < event.epoch}
            known = _keep_checkpoints(trial, [each for each in trial.checkpoints.items() if each[1] < event.epoch])
            epochs = {**before, event.epoch: _record(event, metric)}
            return replace(known, epochs=epochs, heard=event.time, note=event.note or trial.note)
        case CheckpointSaved():
            return _keep_checkpoints(trial, [(event.path, event.epoch), *trial.checkpoints.items()])
        case Restarted():
            return replace(trial, restarts=trial.restarts + 1, fault=event.message, running=False)
        case Ended():
            if event.outcome in (Outcome.FINISHED, Outcome.STOPPED, Outcome.PRUNED):
                trial = _keep_checkpoints(trial, list(trial.checkpoints.items())[:1])
            small = event.outcome is Outcome.OUT_OF_MEMORY and event.accelerator is not None
            return replace(
                trial,
                running=False,
                outcome=event.outcome,
                message=event.message,
                ended=event.time,
                too_small=trial.too_small | {str(event.accelerator)} if small else trial.too_small,
            )
        case Reopened():
            epochs = {epoch: replace(record, verdict="") for epoch, record in trial.epochs.items()}
            return replace(trial, outcome=None, message="", ended=None, epochs=epochs, accelerator=event.accelerator)
        case Dropped():
            return _keep_checkpoints(trial, [])
        case Pruned():
            return replace(trial, pruned=event.reason, kept=False)
        case Kept():
            return replace(trial, kept=True, pruned="")
        case Asked():
            return ask(event)


def _keep_checkpoints(trial: TrialRecord, kept: list[tuple[str, int]]) -> TrialRecord:
    """Return the record of a trial with no other checkpoints than these, the last one first, and two at most."""
    (last, last_epoch), (earlier, earlier_epoch), *_ = [*kept, (None, 0), (None, 0)]
    return replace(trial, checkpoint=last, checkpoint_epoch=last_epoch, earlier=earlier, earlier_epoch=earlier_epoch)


def _record(event: Epoch, metric: str) -> EpochRecord:
    return EpochRecord(
        epoch=event.epoch,
        metrics=Metrics(event.metrics),
        score=event.metrics.get(metric, math.nan),
        time=event.time,
        picture=event.picture,
        pictures=event.pictures or ({WHOLE: event.picture} if event.picture is not None else _NO_PICTURES),
        verdict=event.verdict,
        image_scores=event.image_scores,
    )
