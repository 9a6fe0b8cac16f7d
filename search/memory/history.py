"""The trials of a stage, as they follow from its events; how events are written and read is in `journal`."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from search.memory.events import (
    Asked,
    CheckpointSaved,
    Closed,
    Dropped,
    Ended,
    Epoch,
    Event,
    Halted,
    Kept,
    Opened,
    Pruned,
    Reopened,
    Restarted,
    Started,
    TrialEvent,
    Warned,
)
from search.memory.outcome import Outcome
from segcore.errors import CheckpointError

WHOLE: Final = "validation"
"""What a picture shows that is not of one condition."""


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
    metrics: dict[str, float]
    score: float
    time: float
    picture: str | None = None
    pictures: dict[str, str] = field(default_factory=dict)
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
        running: whether a worker has it now, as far as the journal knows.
        source: the search's trial whose configuration it trains again; None in a search.
        drawable: whether the space could have drawn it; the sampler knows nothing of one that it could not.
        ahead: what the model had advised beside it, for the trials after it.
        accelerator: kind of GPU that it needs, as Ray names it; None: any.
        too_small: kinds of GPU that had too little memory for it.
        heard: when it last started or reported, seconds since the Unix epoch.
        kept: whether ASHA is to spare it.
        pruned: who wants it ended, and why; empty as long as nobody does.
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
    running: bool = False
    source: int | None = None
    drawable: bool = True
    ahead: list[dict[str, Any]] = field(default_factory=list)
    accelerator: str | None = None
    too_small: frozenset[str] = frozenset()
    heard: float = 0.0
    kept: bool = False
    pruned: str = ""

    @property
    def best(self) -> EpochRecord | None:
        """The report with the highest finite score, the earliest of equals; None before one exists."""
        finite = [record for record in self.epochs.values() if record.score == record.score]
        return max(finite, key=lambda record: (record.score, -record.epoch), default=None)

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


class History:
    """The trials of a stage, built event by event.

    What closed the stage, in `closed`, stands until another training is asked for or goes on.

    Args:
        metric: what decides, see `segcore.scoring.objective`.
    """

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.trials: dict[int, TrialRecord] = {}
        self.cache_key: str | None = None
        self.warnings: list[Warned] = []
        self.closed: Closed | None = None
        self._runs: list[tuple[float, float]] = []
        self._open = False

    def apply(self, event: Event) -> None:
        """Take one event into account.

        Raises:
            CheckpointError: for one that cannot follow on those before it.
        """
        match event:
            case Opened():
                self.cache_key = event.cache_key
                self.halt()
                self._runs.append((event.time, event.time))
                self._open = True
            case Asked():
                self.trials[event.trial] = _ask(event)
            case Halted():
                self.halt()
            case Warned():
                self.warnings.append(event)
            case Closed():
                self.closed = event
            case _:
                self._apply_to_trial(event)
        if isinstance(event, Asked | Reopened):
            self.closed = None
        if self._open:
            first, last = self._runs[-1]
            # Where the clock went ahead and back again, what it said meanwhile counts no more.
            self._runs[-1] = first, event.time if event.time >= first else last
        if isinstance(event, Halted):
            # What is written before the next run begins costs no time of a budget.
            self._open = False

    def _apply_to_trial(self, event: TrialEvent) -> None:
        known = self.trials.get(event.trial)
        if known is None:
            raise CheckpointError(f"trial {event.trial} was never asked for")
        self.trials[event.trial] = _follow(known, event, self.metric)

    @property
    def is_open(self) -> bool:
        """Whether a process took the stage and has not left it, as far as the journal knows."""
        return self._open

    @property
    def last_moment(self) -> float | None:
        """When the last event of a run was written, seconds since the Unix epoch; None before the first run."""
        return self._runs[-1][1] if self._runs else None

    def halt(self) -> None:
        """Note that no worker has a trial any more."""
        for number, trial in self.trials.items():
            if trial.running:
                self.trials[number] = replace(trial, running=False)

    @property
    def in_order(self) -> list[TrialRecord]:
        """Every trial by number; a copy, since the display reads it while the driver writes."""
        return [trial for _, trial in sorted(self.trials.copy().items())]

    @property
    def spent_seconds(self) -> float:
        """Seconds that runs of the stage lasted, each from its start to its last event."""
        return self.spent_until(math.inf)

    def spent_until(self, moment: float) -> float:
        """Return the seconds that runs of the stage had lasted at a moment, in seconds since the Unix epoch."""
        return sum(max(0.0, min(last, moment) - first) for first, last in self._runs)

    @property
    def unfinished(self) -> list[TrialRecord]:
        """Trials without an outcome, in order."""
        return [trial for trial in self.in_order if trial.outcome is None]

    def count(self, outcome: Outcome | None) -> int:
        """Return how many trials have an outcome; None counts the unfinished."""
        return sum(trial.outcome is outcome for trial in self.in_order)

    @property
    def ranked(self) -> list[TrialRecord]:
        """Trials with a score, the best first; equals by number."""
        scored = [(trial.best.score, trial) for trial in self.in_order if trial.best is not None]
        return [trial for _, trial in sorted(scored, key=lambda pair: (-pair[0], pair[1].number))]


def _ask(event: Asked) -> TrialRecord:
    return TrialRecord(
        number=event.trial,
        fold=event.fold,
        values=event.values,
        params=event.params,
        started=event.time,
        heard=event.time,
        source=event.source,
        drawable=event.drawable,
        ahead=event.ahead,
    )


def _follow(trial: TrialRecord, event: TrialEvent, metric: str) -> TrialRecord:
    """Return the record of a trial after an event of it."""
    match event:
        case Started():
            started = trial.started if trial.epochs else event.time
            return replace(trial, running=True, started=started, heard=event.time)
        case Epoch():
            before = {epoch: record for epoch, record in trial.epochs.items() if epoch < event.epoch}
            known = _keep_checkpoints(trial, [each for each in trial.checkpoints.items() if each[1] < event.epoch])
            return replace(known, epochs={**before, event.epoch: _record(event, metric)}, heard=event.time)
        case CheckpointSaved():
            return _keep_checkpoints(trial, [(event.path, event.epoch), *trial.checkpoints.items()])
        case Restarted():
            return replace(trial, restarts=trial.restarts + 1, running=False)
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
            return _ask(event)


def _keep_checkpoints(trial: TrialRecord, kept: list[tuple[str, int]]) -> TrialRecord:
    """Return the record of a trial with no other checkpoints than these, the last one first, and two at most."""
    (last, last_epoch), (earlier, earlier_epoch), *_ = [*kept, (None, 0), (None, 0)]
    return replace(trial, checkpoint=last, checkpoint_epoch=last_epoch, earlier=earlier, earlier_epoch=earlier_epoch)


def _record(event: Epoch, metric: str) -> EpochRecord:
    return EpochRecord(
        epoch=event.epoch,
        metrics=event.metrics,
        score=event.metrics.get(metric, math.nan),
        time=event.time,
        picture=event.picture,
        pictures=event.pictures or ({WHOLE: event.picture} if event.picture is not None else {}),
        verdict=event.verdict,
        image_scores=event.image_scores,
    )


def count_ends(trials: Iterable[TrialRecord]) -> str:
    """Return in words how many trials ended in which way, the most frequent first."""
    counts = Counter("not ended" if trial.outcome is None else str(trial.outcome) for trial in trials)
    return ", ".join(f"{count} {end}" for end, count in counts.most_common())
