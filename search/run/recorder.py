"""Hears from Ray Tune what trials do and writes it to the journal, once, in order.

The only caller of `Journal.write` during a stage. The proposer learns here too: Ray Tune's searchers never see
the report on which ASHA stops a trial.
"""

import contextlib
import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from search.folder import StageFolder
from search.judge.asha import Asha
from search.memory.history import FAILURES, Outcome, TrialRecord
from search.memory.journal import Journal
from search.propose.proposer import Proposer


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

    def end_judged(self) -> None:
        """End the trials that ASHA stopped just before the driver died: the verdict is in the journal, the end not.

        A trial whose checkpoint of that epoch was lost could never be taken up again: it goes on, and is judged anew.
        """
        for record in self._journal.history.unfinished:
            last = record.epochs.get(record.last_epoch)
            if last is not None and last.verdict and (record.can_go_on or math.isnan(last.iou)):
                self._end(record, Outcome.STOPPED, last.verdict)
        if self._asha is not None:
            self._drop_checkpoints(self._asha)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write that a worker has taken a trial."""
        self._journal.write("started", {"trial": trial.config["trial"]})

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any]) -> None:
        """Write an epoch."""
        # Ray keeps results and writes them to its own files; a picture is not for them.
        picture, image_ious = result.pop("picture", None), result.pop("image_ious", None)
        if "epoch" not in result:
            return
        number, epoch = trial.config["trial"], result["epoch"]
        metrics = {name: float(value) for name, value in result["metrics"].items() if math.isfinite(value)}
        event: dict[str, Any] = {
            "trial": number,
            "epoch": epoch,
            "metrics": metrics,
            "picture": self._save_picture(number, epoch, picture),
            "verdict": self._asha.stopped.get(number, "") if self._asha is not None else "",
        }
        if self._proposer is None and image_ious is not None:
            # Configurations are compared image by image only after the search.
            event["image_ious"] = json.loads(image_ious)
        known = self._record(trial).epochs.get(epoch)
        if known is not None:
            # Trained again after its checkpoint was lost: with the time of the first report MLflow sees one point.
            event["time"] = known.time
        self._journal.write("epoch", event)
        self._log(number, f"epoch {epoch}: " + ", ".join(f"{k} {v:.4g}" for k, v in metrics.items()))
        if self._proposer is not None and self._record(trial).drawable:
            if "latency_ms" in metrics:
                self._proposer.weigh(number, metrics["latency_ms"])
            self._proposer.observe(number, epoch, metrics.get("iou", math.nan))

    def on_checkpoint(self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: tune.Checkpoint) -> None:
        """Write where a trial can go on from."""
        record = self._record(trial)
        former = record.checkpoint
        epoch = (trial.last_result or {}).get("epoch", 0)
        self._journal.write("checkpoint", {"trial": record.number, "epoch": epoch, "path": checkpoint.path})
        # Ray deletes a trial's former checkpoint, unless it is from a run before this one.
        if former is not None and Path(former).parent != Path(checkpoint.path).parent:
            shutil.rmtree(former, ignore_errors=True)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write that a trial failed in a way that another try may mend, and goes on from its last checkpoint."""
        number = trial.config["trial"]
        self._journal.write("restarted", {"trial": number, "message": _error_text(trial)})
        self._log(number, f"it goes on from its last checkpoint after: {_error_text(trial)}")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write how a trial ended."""
        record = self._record(trial)
        reported = (trial.last_result or {}).get("outcome", "")
        if self._asha is not None and record.number in self._asha.stopped:
            self._end(record, Outcome.STOPPED, self._asha.stopped[record.number])
        elif reported:
            self._end(record, Outcome(reported), trial.last_result.get("message", ""))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write that a trial failed for good."""
        self._end(self._record(trial), Outcome.FAILED, _error_text(trial))

    def _end(self, record: TrialRecord, outcome: Outcome, message: str) -> None:
        self._journal.write("ended", {"trial": record.number, "outcome": str(outcome), "message": message})
        self._log(record.number, f"{outcome}: {message}" if message else str(outcome))
        if self._asha is not None and self._proposer is not None:
            if record.drawable:
                self._proposer.close(record.number, outcome, record.best.iou if record.best else None)
            if outcome is Outcome.STOPPED and record.can_go_on and not math.isnan(record.epochs[record.last_epoch].iou):
                self._asha.park(record.number, record.last_epoch)
            elif outcome in FAILURES:
                self._asha.fail(record.number)
            self._drop_checkpoints(self._asha)

    def _drop_checkpoints(self, asha: Asha) -> None:
        asha.let_go()
        # Ray keeps a checkpoint of every trial, a full disk in a long search; of use are those of trials that may go on
        # and of the best.
        usable = (Outcome.FINISHED, Outcome.STOPPED)
        ranked = [record for record in self._journal.history.ranked if record.outcome in usable]
        for record in self._journal.history.in_order:
            needed = record.outcome is None or asha.waits(record.number) or record in ranked[:1]
            if record.checkpoint is not None and not needed:
                # The other way round a driver that dies in between would leave a trial that waits without a checkpoint.
                checkpoint = record.checkpoint
                self._journal.write("dropped", {"trial": record.number})
                shutil.rmtree(checkpoint, ignore_errors=True)

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
