"""Hears from Ray Tune what trials do and writes it to the journal, once, in order.

The only caller of `Journal.write` during a stage. The proposer learns here too: Ray Tune's searchers never see
the report on which ASHA stops a trial.
"""

import contextlib
import math
import shutil
import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from search.journal import Journal, Outcome, TrialRecord
from search.layout import StageFolder
from search.scheduler import Asha
from search.searcher import Proposer


class Recorder(tune.Callback):  # type: ignore[misc]
    """Writes the journal, pictures and a log per trial.

    Args:
        journal: where events go.
        stage: the stage's files.
        asha: knows which trials it stopped; None when nothing is stopped.
        proposer: learns scores and outcomes; None when nothing is proposed.
    """

    def __init__(self, journal: Journal, stage: StageFolder, asha: Asha | None, proposer: Proposer | None) -> None:
        self._journal = journal
        self._stage = stage
        self._asha = asha
        self._proposer = proposer

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any]) -> None:
        """Write an epoch."""
        # Ray keeps results and writes them to its own files; a picture is not for them.
        picture = result.pop("picture", None)
        if "epoch" not in result:
            return
        number, epoch = trial.config["trial"], result["epoch"]
        metrics = {name: float(value) for name, value in result["metrics"].items() if math.isfinite(value)}
        file = self._save_picture(number, epoch, picture)
        self._journal.write("epoch", {"trial": number, "epoch": epoch, "metrics": metrics, "picture": file})
        self._log(number, f"epoch {epoch}: " + ", ".join(f"{k} {v:.4g}" for k, v in metrics.items()))
        if self._proposer is not None:
            self._proposer.observe(number, epoch, metrics.get("iou", math.nan))

    def on_checkpoint(self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: tune.Checkpoint) -> None:
        """Write where a trial can go on from."""
        epoch = (trial.last_result or {}).get("epoch", 0)
        self._journal.write("checkpoint", {"trial": trial.config["trial"], "epoch": epoch, "path": checkpoint.path})

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write that a trial's worker died and the trial goes on elsewhere."""
        number = trial.config["trial"]
        self._journal.write("restarted", {"trial": number, "message": _error_text(trial)})
        self._log(number, "its worker died; it goes on from its last checkpoint")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write how a trial ended; one that the time budget cut off stays unfinished."""
        record = self._record(trial)
        reported = (trial.last_result or {}).get("outcome", "")
        if self._asha is not None and record.number in self._asha.stopped:
            self._end(record, Outcome.STOPPED, self._asha.stopped[record.number], trial)
        elif reported:
            self._end(record, Outcome(reported), trial.last_result.get("message", ""), trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write that a trial failed for good."""
        self._end(self._record(trial), Outcome.FAILED, _error_text(trial), trial)

    def _end(self, record: TrialRecord, outcome: Outcome, message: str, trial: Trial) -> None:
        self._journal.write("ended", {"trial": record.number, "outcome": str(outcome), "message": message})
        self._log(record.number, f"{outcome}: {message}" if message else str(outcome))
        if self._proposer is not None:
            self._proposer.close(record.number, outcome, record.best.iou if record.best else None)
            self._drop_checkpoints()

    def _drop_checkpoints(self) -> None:
        # Ray keeps one checkpoint of every trial, a full disk in a long search; only the best one's has a use.
        ranked = self._journal.history.ranked
        for record in ranked[1:]:
            if record.outcome is not None and record.checkpoint is not None:
                shutil.rmtree(record.checkpoint, ignore_errors=True)

    def _record(self, trial: Trial) -> TrialRecord:
        return self._journal.history.trials[trial.config["trial"]]

    def _save_picture(self, number: int, epoch: int, picture: bytes | None) -> str | None:
        if picture is None:
            return None
        file = self._stage.trial(number) / f"epoch_{epoch:04d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture)
        return str(file.relative_to(self._stage.root))

    def _log(self, number: int, line: str) -> None:
        file = self._stage.trial(number) / "log.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")


def _error_text(trial: Trial) -> str:
    with contextlib.suppress(OSError, TypeError):
        return Path(trial.error_file).read_text(encoding="utf-8", errors="replace")[-4000:]
    return "its worker died without a word; the node may be gone or out of memory"
