"""The Ray trainable: one configuration on one fold, from the cache to the last report.

Runs in a worker process. It knows nothing of the search: whether to go on is decided by `scheduler` in the driver.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import ray
import torch
from ray import tune

from search.memory.outcome import Outcome
from search.run.checkpoints import brought
from search.run.scratch import blaming_node, clear_scratch, scratch_folder
from search.run.system import SystemWatch
from search.run.training_thread import run_in_training_thread
from search.run.trial_job import Assignment, TrialJob, open_cache, require_promised
from segcore.bucket import describe, is_away, patiently
from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.labels import build_label_map
from segcore.data.picture_files import encode_jpeg
from segcore.errors import (
    CheckpointError,
    ConfigError,
    DeviceMemoryError,
    NonFiniteLossError,
    StorageError,
    StoreAwayError,
    StreetError,
    TrainingError,
)
from segcore.insight.case_pictures import ShownCase, choose_cases, draw_cases
from segcore.machine import Machine, detect_machine, name_device
from segcore.prediction.cases import predict_cases
from segcore.prediction.latency import measure_latency_ms, measure_memory_gib
from segcore.scoring.metrics import ImageScore, divide_metric
from segcore.scoring.objective import require_learnt
from segcore.scoring.score_text import SCORES_FILE, encode_scores
from segcore.training import saving
from segcore.training.checkpoint import require_readable
from segcore.training.compiling import keep_compiled
from segcore.training.memory import name_memory_errors, wait_for_memory
from segcore.training.saving import StateWriter, load_checkpoint
from segcore.training.schedule import has_stalled
from segcore.training.state import TrainState, new_state
from segcore.training.train import EpochResult, train_epochs

STATE_FILE: Final = saving.STATE_FILE


def run_trial(config: Assignment, job: TrialJob) -> None:
    """Train one trial and report every epoch with a checkpoint to Ray Tune.

    Args:
        config: the trial.
        job: what all trials share.

    A configuration that cannot be trained reports how it ended and why, and returns: starting it again would end alike.
    Anything else that goes wrong (a full disk, a share that is not mounted) is raised, and Ray tries again elsewhere.
    """
    try:
        run_in_training_thread(partial(_train, config, job))
    except (TrainingError, ConfigError) as error:
        node = ray.get_runtime_context().get_node_id()
        tune.report({"outcome": str(_outcome_of(error)), "message": str(error), "node": node})


def _train(config: Assignment, job: TrialJob) -> None:
    clear_scratch()
    machine = detect_machine(max(1, int(job.cpus)), use_gpu=job.gpus > 0)
    require_promised(machine, job.gpus)
    if machine.on_gpu:
        # A reused worker would carry the last trial's peak along.
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        # The worker that had the GPU before may still be dying.
        wait_for_memory(torch.cuda.mem_get_info, min(1.0, job.gpus))
        # A trial that shares a GPU must not take its neighbour's memory, least of all by batch_size=auto.
        torch.cuda.set_per_process_memory_fraction(min(1.0, job.gpus))
        keep_compiled(job.cache_root)
    cache = open_cache(job)
    named = name_memory_errors(TrainConfig.from_values(config["values"]), machine)
    with named, closing(SystemWatch(machine)) as system:
        _train_on(config, job, cache, machine, system)


def _train_on(config: Assignment, job: TrialJob, cache: PixelCache, machine: Machine, system: SystemWatch) -> None:
    train_indices, valid_indices = job.split.split(cache.names, config["fold"], cache.extra_names)
    require_learnt(job.metric, TrainConfig.from_values(config["values"]).labels, cache.classes)
    state, torn = _start(config, cache, machine, job.metric)
    first = state.epoch + 1
    if _has_ended(state):
        # The driver died after this trial's last checkpoint and before it wrote the end.
        tune.report({"outcome": str(Outcome.FINISHED), "message": ""})
    costs: dict[str, float] = {}
    if job.limits is not None and state.epoch == 0:
        costs = _measure(state, cache, machine)
        if broken := job.limits.describe_broken(costs):
            tune.report({"outcome": str(Outcome.OVER_LIMIT), "message": broken})
            return
    shown = choose_cases(cache, valid_indices)
    with ExitStack() as stack:
        with blaming_node(OSError):
            folder = stack.enter_context(scratch_folder())
        writer = stack.enter_context(StateWriter(folder))
        for result in train_epochs(state, cache, train_indices, valid_indices, machine, writer):
            is_drawn = result.epoch in job.picture_epochs or _has_ended(state)
            pictures = _draw(state, cache, shown, result.scores, machine) if is_drawn else None
            with blaming_node(StorageError, OSError):
                writer.finish(state)
                (folder / SCORES_FILE).write_text(encode_scores(result.scores), encoding="utf-8")
            # As a text: Ray would flatten a dictionary into hundreds of results.
            image_scores = json.dumps(divide_metric(result.scores, cache.classes, job.metric))
            described = _describe(result, state, costs if result.epoch == 1 else {})
            beside = {"device": name_device(machine), "system": system.take()}
            once = {"torn": "; ".join(torn), "note": _describe_notes(result)} if result.epoch == first else {}
            _report({**described, **beside, **once, "pictures": pictures, "image_scores": image_scores}, folder)


def _report(result: dict[str, Any], folder: Path) -> None:
    """Report an epoch with a checkpoint; while a bucket does not answer, the training waits for it."""

    def report() -> None:
        try:
            tune.report(result, checkpoint=tune.Checkpoint.from_directory(str(folder)))
        except OSError as error:
            if is_away(error):
                raise StoreAwayError(f"The checkpoint cannot be written ({describe(error)}).") from error
            raise

    patiently(report)


def _start(config: Assignment, cache: PixelCache, machine: Machine, metric: str) -> tuple[TrainState, list[str]]:
    """Return the training to go on with, and which checkpoints are torn; without a sound one it starts from scratch."""
    train_config = TrainConfig.from_values(config["values"])
    torn: list[str] = []
    for place in config["checkpoints"]:
        found = _load(place, train_config, machine, metric)
        if isinstance(found, TrainState):
            return found, torn
        torn.append(str(found))
    outputs = build_label_map(cache.classes, train_config.labels).outputs
    return new_state(train_config, outputs, machine, metric=metric), torn


def _load(place: str, config: TrainConfig, machine: Machine, metric: str) -> TrainState | CheckpointError:
    """Return the training that a checkpoint holds, or what is wrong with a torn one."""
    with brought(place) as folder:
        try:
            return load_checkpoint(folder, config, machine, metric=metric)
        except CheckpointError as error:
            # A share that is not mounted or does not answer is this node's fault: another one may read it.
            require_readable(folder / STATE_FILE)
            return CheckpointError(str(error).replace(str(folder), place))


def _measure(state: TrainState, cache: PixelCache, machine: Machine) -> dict[str, float]:
    largest = max(cache.cases, key=lambda case: case.height * case.width)
    measured = (state.final_model, largest.height, largest.width, state.config, machine)
    return {"memory_gib": measure_memory_gib(*measured), "latency_ms": measure_latency_ms(*measured)}


def _describe(result: EpochResult, state: TrainState, costs: Mapping[str, float]) -> dict[str, Any]:
    return {
        "epoch": result.epoch,
        "outcome": str(Outcome.FINISHED) if _has_ended(state) else "",
        "message": "",
        "metrics": {
            **result.metrics,
            "train_loss": result.train_loss,
            "learning_rate": result.learning_rate,
            "seconds": result.train_seconds + result.validation_seconds,
            "samples_per_second": result.samples_per_second,
            "wait_share": result.wait_share,
            "peak_memory_gib": result.peak_memory_gib,
            **_describe_batches(result, state),
            **costs,
        },
    }


def _describe_batches(result: EpochResult, state: TrainState) -> dict[str, float]:
    """Return what the device made of the configuration's batches and images, where it made something else of them."""
    found = {"found_batch_size": float(result.batch_size)} if state.config.batch_size == "auto" else {}
    divided = {"micro_batches": float(result.micro_batches)} if result.micro_batches > 1 else {}
    in_tiles = {"validated_in_tiles": 1.0} if result.validated_in_tiles else {}
    fewer = {"loader_workers": float(result.loader_workers)} if result.loading_note else {}
    return {**found, **divided, **in_tiles, **fewer}


def _describe_notes(result: EpochResult) -> str:
    return "; ".join(note for note in (result.loading_note, result.compile_note) if note)


def _has_ended(state: TrainState) -> bool:
    return state.epoch >= state.config.epochs or has_stalled(state.scores, state.config.patience_epochs)


def _draw(
    state: TrainState,
    cache: PixelCache,
    shown: Mapping[str, Sequence[ShownCase]],
    scores: Sequence[ImageScore],
    machine: Machine,
) -> dict[str, bytes]:
    """Return a picture of each condition, JPEG."""
    indices = [case.index for cases in shown.values() for case in cases]
    predicted = predict_cases(state.final_model, cache, indices, state.config, machine)
    predictions = {index: classes_HW.cpu().numpy() for index, classes_HW in zip(indices, predicted, strict=True)}
    ious = {score.name: score.iou for score in scores}
    return {name: encode_jpeg(draw_cases(cache, cases, predictions, ious)) for name, cases in shown.items()}


def _outcome_of(error: StreetError) -> Outcome:
    if isinstance(error, DeviceMemoryError):
        return Outcome.OUT_OF_MEMORY
    if isinstance(error, NonFiniteLossError):
        return Outcome.DIVERGED
    return Outcome.FAILED
