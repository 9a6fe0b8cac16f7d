"""The trials that follow from a journal's events; how they are written and read lives in `events` and `journal`."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final


class Outcome(StrEnum):
    """How a trial ended; a trial without one is unfinished."""

    FINISHED = "finished"
    STOPPED = "stopped by ASHA"
    FAILED = "failed"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out of memory"
    OVER_LIMIT = "over a limit"


FAILURES: Final = (Outcome.FAILED, Outcome.DIVERGED, Outcome.OUT_OF_MEMORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """What a trial reported after an epoch.

    Args:
        epoch: finished epochs, from 1.
        metrics: numbers by MLflow metric name; `iou` is the objective.
        time: seconds since the Unix epoch.
        picture: file of the validation picture, or None.
        verdict: why ASHA stopped the trial on this report; empty when it went on, at once or later.
        image_ious: `iou` of each validation image by name; None in a search, which compares no images.
    """

    epoch: int
    metrics: dict[str, float]
    time: float
    picture: str | None = None
    verdict: str = ""
    image_ious: dict[str, float] | None = None

    @property
    def iou(self) -> float:
        """The objective; NaN when no validation image has a scored class."""
        return self.metrics.get("iou", float("nan"))


@dataclass(slots=True, kw_only=True)
class TrialRecord:
    """What is known of one trial.

    Args:
        number: 0-based.
        fold: fold that it is scored on.
        values: every `TrainConfig` value.
        params: what the space drew, as Optuna knows it.
        started: seconds since the Unix epoch; when it was asked, until a worker took it.
        epochs: reports by epoch.
        checkpoint: place of the last checkpoint, or None.
        checkpoint_epoch: finished epochs in it.
        outcome: how it ended, or None.
        message: why it ended so.
        ended: seconds since the Unix epoch, or None.
        restarts: how often its worker died and it went on.
        running: whether a worker has it now, as far as the journal knows.
        source: the search's trial whose configuration it trains again; None in a search.
        drawable: whether the space could have drawn it; the sampler knows nothing of one that it could not.
        ahead: what the model had advised beside it, for the trials after it.
    """

    number: int
    fold: int
    values: dict[str, Any]
    params: dict[str, Any]
    started: float
    epochs: dict[int, EpochRecord] = field(default_factory=dict)
    checkpoint: str | None = None
    checkpoint_epoch: int = 0
    outcome: Outcome | None = None
    message: str = ""
    ended: float | None = None
    restarts: int = 0
    running: bool = False
    source: int | None = None
    drawable: bool = True
    ahead: list[dict[str, Any]] = field(default_factory=list)

    @property
    def best(self) -> EpochRecord | None:
        """The report with the highest finite iou, the earliest of equals; None before one exists."""
        finite = [record for record in list(self.epochs.values()) if record.iou == record.iou]
        return max(finite, key=lambda record: (record.iou, -record.epoch), default=None)

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds of a prediction, None where it was not measured."""
        return next((r.metrics["latency_ms"] for r in list(self.epochs.values()) if "latency_ms" in r.metrics), None)

    @property
    def can_go_on(self) -> bool:
        """Whether there is a checkpoint of its last epoch."""
        return self.checkpoint is not None and self.checkpoint_epoch == self.last_epoch

    @property
    def last_epoch(self) -> int:
        """Finished epochs."""
        return max(list(self.epochs), default=0)


class History:
    """The trials of a stage, built event by event."""

    def __init__(self) -> None:
        self.trials: dict[int, TrialRecord] = {}
        self.cache_key: str | None = None
        self._runs: list[list[float]] = []
        self._running = False

    def apply(self, event: dict[str, Any]) -> None:
        """Take one event of the journal into account; unknown kinds are left to other readers."""
        kind = event["event"]
        if kind == "opened":
            self.cache_key = event["cache_key"]
            self._runs.append([event["time"], event["time"]])
            self._running = True
            self.halt()
        if self._running:
            # The time of an epoch that was trained again is that of its first report.
            self._runs[-1][1] = max(self._runs[-1][1], event["time"])
        if kind == "asked":
            self.trials[event["trial"]] = TrialRecord(
                number=event["trial"],
                fold=event["fold"],
                values=event["values"],
                params=event["params"],
                started=event["time"],
                source=event.get("source"),
                drawable=event.get("drawable", True),
                ahead=event.get("ahead", []),
            )
        elif kind == "epoch":
            record = EpochRecord(
                epoch=event["epoch"],
                metrics=event["metrics"],
                time=event["time"],
                picture=event["picture"],
                verdict=event["verdict"],
                image_ious=event.get("image_ious"),
            )
            self.trials[event["trial"]].epochs[record.epoch] = record
        elif kind == "checkpoint":
            trial = self.trials[event["trial"]]
            trial.checkpoint, trial.checkpoint_epoch = event["path"], event["epoch"]
        elif kind == "started":
            trial = self.trials[event["trial"]]
            trial.running = True
            if not trial.epochs:
                trial.started = event["time"]
        elif kind == "restarted":
            self.trials[event["trial"]].restarts += 1
        elif kind == "ended":
            trial = self.trials[event["trial"]]
            trial.outcome, trial.message = Outcome(event["outcome"]), event["message"]
            trial.ended, trial.running = event["time"], False
        elif kind == "reopened":
            trial = self.trials[event["trial"]]
            trial.outcome, trial.message, trial.ended = None, "", None
            trial.epochs[trial.last_epoch] = replace(trial.epochs[trial.last_epoch], verdict="")
        elif kind == "dropped":
            self.trials[event["trial"]].checkpoint = None
        elif kind == "halted":
            self.halt()
        elif kind == "closed":
            self._running = False

    def halt(self) -> None:
        """Note that no worker has a trial any more."""
        for trial in self.trials.values():
            trial.running = False

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
        scored = [(trial.best.iou, trial) for trial in self.in_order if trial.best is not None]
        return [trial for _, trial in sorted(scored, key=lambda pair: (-pair[0], pair[1].number))]


def count_ends(trials: Iterable[TrialRecord]) -> str:
    """Return in words how many trials ended in which way, the most frequent first."""
    counts = Counter("not ended" if trial.outcome is None else str(trial.outcome) for trial in trials)
    return ", ".join(f"{count} {end}" for end, count in counts.most_common())
