"""Hears from Ray Tune what trials do and writes it to the journal, once, in order.

What follows from it for ASHA and the proposer they learn from the journal itself: Ray Tune's own searchers never see
the report on which a trial is stopped.
"""

import json
import math
from pathlib import Path
from typing import Any

from ray import tune
from ray.train.constants import CHECKPOINT_DIR_NAME
from ray.tune.experiment import Trial

from search.folder import StageFolder
from search.judge.asha import Asha
from search.judge.progress import RETRIED
from search.judge.wishes import Wish, fulfil
from search.memory.events import CheckpointSaved, Dropped, Ended, Epoch, Started, Warned
from search.memory.history import TrialRecord, rank
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from search.run.capacity import accelerator_of, node_of
from search.run.evicted import describe_death, find_evicting_node
from search.run.failures import find_failed_node, is_of_node, read_failure, tell_failure
from search.run.retries import Retries
from search.run.trial_files import TrialFiles
from segcore.errors import ConfigError


class Recorder(tune.Callback):  # type: ignore[misc]
    """Writes the journal, pictures and a log per trial.

    Args:
        journal: where events go.
        folder: the stage's files.
        asha: says which epochs a trial is stopped at; None when nothing is stopped.
        retries: says what becomes of a trial whose worker failed.
    """

    def __init__(self, journal: Journal, folder: StageFolder, asha: Asha | None, retries: Retries) -> None:
        self._journal = journal
        self._folder = folder
        self._files = TrialFiles(journal, folder)
        self._asha = asha
        self._retries = retries
        self._hung: dict[int, str] = {}
        self._actors: dict[int, str] = {}

    def end_judged(self) -> None:
        """End the trials that ASHA stopped just before the driver died: the verdict is in the journal, the end not.

        A trial whose checkpoint of that epoch was lost could never be promoted: it goes on, and is judged anew.
        """
        for record in self._journal.history.unfinished:
            last = record.epochs.get(record.last_epoch)
            if last is not None and last.verdict and (record.can_go_on or math.isnan(last.score)):
                self._end(record.number, self._name_stop(record.number), last.verdict)
            elif record.pruned:
                self._end(record.number, Outcome.PRUNED, record.pruned)
        self._drop_checkpoints()

    def grant(self, wish: Wish, number: int, reason: str) -> None:
        """Do what a person wants of a trial of the search.

        Args:
            wish: to end it, or to spare it from ASHA.
            number: the trial's.
            reason: who asks, and why.

        Raises:
            ConfigError: when it cannot be done.
        """
        if self._asha is None:
            raise ConfigError(f"Trial {number}: the search is over, and each training of this stage goes to its end.")
        for event in fulfil(wish, number, reason, self._journal.history, self._asha):
            if isinstance(event, Ended):
                self._end(number, event.outcome, event.message)
            else:
                self._journal.write(event)
                self._files.log(number, f"{event.event}: {reason}")

    def tell_hung(self, number: int, told: str, advice: str) -> None:
        """Say that a trial is taken for hung, and why its worker, which is ended then, will have failed.

        Args:
            number: the trial's.
            told: what was noticed.
            advice: what its user can do.
        """
        self._hung[number] = told
        self._journal.write(Warned(message=f"{told} {advice}"))

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write that a worker has taken a trial."""
        actor = trial.temporary_state.ray_actor
        number, node = trial.config["trial"], None
        if actor is not None:
            self._actors[number] = actor._actor_id.hex()
            node = node_of(self._actors[number])
        self._journal.write(Started(trial=number, node=node))

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any]) -> None:
        """Write an epoch."""
        # Ray keeps the last result of every trial, and statistics of its numbers.
        drawn, image_scores = result.pop("pictures", None), result.pop("image_scores", None)
        torn, note, system = result.pop("torn", ""), result.pop("note", ""), result.pop("system", {})
        measured, _ = result.pop("metrics", {}), result.pop("config", None)
        if "epoch" not in result:
            return
        number, epoch = trial.config["trial"], result["epoch"]
        metrics = {name: float(value) for name, value in measured.items() if math.isfinite(value)}
        verdict = ""
        if self._asha is not None:
            score = metrics.get(self._asha.metric, math.nan)
            verdict = self._asha.decide(number, epoch, score, metrics.get("latency_ms"))
        pictures = self._files.save_pictures(number, epoch, drawn or {})
        event = Epoch(
            trial=number,
            epoch=epoch,
            metrics=metrics,
            picture=next(iter(pictures.values()), None),
            pictures=pictures,
            verdict=verdict,
            device=result.get("device", ""),
            note=note,
            system={name: value for name, value in system.items() if math.isfinite(value)},
            # Configurations are compared image by image only after the search.
            image_scores=json.loads(image_scores) if self._asha is None and image_scores is not None else None,
        )
        self._write(event)
        if name := result.get(CHECKPOINT_DIR_NAME):
            # Ray tells of it later: a run that ended in between would train the epoch again.
            self._save_checkpoint(number, epoch, str(Path(trial.storage.trial_fs_path, name)))
        if torn:
            told = f"Trial {number} went on after epoch {epoch - 1}" if epoch > 1 else f"Trial {number} began anew"
            self._journal.write(Warned(message=f"{told}: {torn}"))
            self._files.log(number, f"{told}: {torn}")
        if note:
            self._files.log(number, note)
        self._files.log(number, f"epoch {epoch}: " + ", ".join(f"{k} {v:.4g}" for k, v in metrics.items()))

    def on_checkpoint(self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: tune.Checkpoint) -> None:
        """Write where a trial can go on from, unless the report of its epoch named it."""
        self._save_checkpoint(trial.config["trial"], (trial.last_result or {}).get("epoch", 0), checkpoint.path)

    def _save_checkpoint(self, number: int, epoch: int, place: str) -> None:
        path = self._folder.relative(place)
        if path != self._journal.history.trials[number].checkpoint:
            self._write(CheckpointSaved(trial=number, epoch=epoch, path=path))

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Give up what Ray Tune remembers of each trial's checkpoints: the whole result with its pictures."""
        known = trial.run_metadata.checkpoint_manager
        trial.run_metadata.checkpoint_manager = type(known)(known.checkpoint_config)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write how a trial ended."""
        record, result = self._record(trial), trial.last_result or {}
        last = record.epochs.get(record.last_epoch)
        if last is not None and last.verdict:
            self._end(record.number, self._name_stop(record.number), last.verdict)
        elif result.get("outcome"):
            accelerator = accelerator_of(result["node"]) if "node" in result else None
            self._end(record.number, Outcome(result["outcome"]), result.get("message", ""), accelerator)
        _forget_statistics(trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Put a trial whose worker failed back in the line, from its last checkpoint, or write that it failed."""
        number, error = trial.config["trial"], read_failure(trial)
        message = self._hung.pop(number, "") or f"{tell_failure(trial)}\n{describe_death(error)}".rstrip()
        begun = self._retries.node_of(number)
        node, is_crowded = begun or find_failed_node(error), find_evicting_node(error) is not None
        of_node = is_of_node(error, begun is not None, self._actors.get(number, ""))
        if pruned := self._record(trial).pruned:
            self._end(number, Outcome.PRUNED, pruned)
        elif self._retries.take_up(number, node, message, of_node=of_node, crowded=is_crowded):
            self._files.log(number, f"it goes on from its last checkpoint after: {message}")
        else:
            self._end(number, Outcome.FAILED, message, node=node)
        self._retries.judge_nodes()
        _forget_statistics(trial)

    def _name_stop(self, number: int) -> Outcome:
        pruned = self._asha is not None and self._asha.is_pruned(number)
        return Outcome.PRUNED if pruned else Outcome.STOPPED

    def _end(
        self, number: int, outcome: Outcome, message: str, accelerator: str | None = None, node: str | None = None
    ) -> None:
        self._write(Ended(trial=number, outcome=outcome, message=message, accelerator=accelerator, node=node))
        self._files.log(number, f"{outcome}: {message}" if message else str(outcome))
        self._drop_checkpoints()

    def _drop_checkpoints(self) -> None:
        """Give up the checkpoints of a search that nothing goes on from.

        Two of every trial would be a full disk in a long search; of use are those of trials that may go on, by
        promotion or another try, and of the best.
        """
        if self._asha is None:
            return
        hopeless = self._asha.find_hopeless()
        usable = (Outcome.FINISHED, Outcome.STOPPED, Outcome.PRUNED)
        kept = [record for record in self._journal.history.in_order if record.checkpoint is not None]
        # Of thousands of trials a hundred have one: to rank them all would take longer than all else at each end.
        best = next(iter(rank(record for record in kept if record.outcome in usable)), None)
        for record in kept:
            waits = self._asha.waits(record.number) and record.number not in hopeless
            needed = waits or record.outcome in (None, *RETRIED) or record is best
            if not needed:
                # In this order: a driver that died between the two would otherwise leave a trial that waits for a
                # checkpoint that is gone.
                self._journal.write(Dropped(trial=record.number))
                for place in record.checkpoints:
                    self._folder.delete(place)

    def _write(self, event: Epoch | CheckpointSaved | Ended) -> None:
        """Write what a trial did, and delete the checkpoints from which it cannot go on any more."""
        trials = self._journal.history.trials
        before = trials[event.trial].checkpoints
        self._journal.write(event)
        for place in before.keys() - trials[event.trial].checkpoints:
            self._folder.delete(place)

    def _record(self, trial: Trial) -> TrialRecord:
        return self._journal.history.trials[trial.config["trial"]]


def _forget_statistics(trial: Trial) -> None:
    """Empty the statistics that Ray Tune keeps of a trial's metrics: 90 kB a trial, and nobody reads them."""
    for known in (trial.metric_analysis, trial.metric_n_steps):
        known.clear()
