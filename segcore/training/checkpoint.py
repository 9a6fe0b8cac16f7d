"""A training on disk: saved atomically after an epoch, loaded whole, refused where it belongs to another training.

What a training is lives in `state`; when it is saved, in `saving`.
"""

import os
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from segcore.config import TrainConfig
from segcore.errors import CheckpointError, StorageError
from segcore.expressions import translate_first_losses
from segcore.machine import Machine, is_memory_error
from segcore.networks.model import build_architecture
from segcore.regular import open_regular
from segcore.replacing import replacing
from segcore.scoring.objective import FIRST_METRIC
from segcore.training.state import TrainState, assemble, list_learnt, load_learnt, roll_back

_FORMAT: Final = "street-state-4"
_FORMAT_OF_FIRST_LOSSES: Final = "street-state-3"
_READ_BYTES: Final = 1 << 20
_NUMBER_BYTES: Final = 4
_CONTENT: Final = {
    "config": dict,
    "outputs": int,
    "learnt": dict,
    "snapshots": list,
    "batch_size": int,
    "micro_batches": int,
    "epoch": int,
    "train_losses": list,
    "scores": list,
}
"""What every checkpoint holds."""

_LEARNT: Final = {"model": dict, "optimizer": dict, "scaler": dict, "mean_model": dict | None}
_ITEMS: Final = {"snapshots": dict, "train_losses": float, "scores": float}
"""What its lists hold."""


def save_state(state: TrainState, file: Path) -> None:
    """Write the state so that the file is either the old one or the new one, never a part.

    Raises:
        StorageError: when the file cannot be written.
    """
    content = {
        "format": _FORMAT,
        "config": state.config.values(),
        "outputs": state.outputs,
        "data": state.data,
        "learnt": list_learnt(state),
        "snapshots": state.snapshots,
        "batch_size": state.batch_size,
        "micro_batches": state.micro_batches,
        "epoch": state.epoch,
        "train_losses": state.train_losses,
        "metric": state.metric,
        "scores": state.scores,
    }
    try:
        with replacing(file) as temporary, temporary.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"The checkpoint {file} cannot be written ({error}); make room or choose another folder."
        ) from error


def load_state(
    file: Path, config: TrainConfig, machine: Machine, data: str = "", metric: str = FIRST_METRIC
) -> TrainState:
    """Read a state back onto a device.

    Args:
        file: written by `save_state`.
        config: the configuration that the caller is training; it must be the saved one.
        machine: where to go on.
        data: says what the caller trains on and validates; it must be the saved one where both say something.
        metric: what decides for the caller whether an epoch was better; it must be the saved one.

    Raises:
        CheckpointError: when the file is damaged or belongs to another configuration, metric or other data.
    """
    content = _read(file)
    _require_same(file, content, config, metric)
    # A file that is older than the field says nothing.
    saved_data = content.get("data", "")
    if data and saved_data and data != saved_data:
        raise CheckpointError(
            f"{file} was trained on other data ({saved_data}, now {data}): images, masks, classes, extra data sets and "
            "the fold must be the same; restore them, or start this training in another folder."
        )
    outputs = content["outputs"]
    state = assemble(build_architecture(config, outputs).to(machine.device), config, outputs, machine)
    try:
        load_learnt(state, content["learnt"])
    # torch raises errors of many types for tensors that belong elsewhere.
    except Exception as error:
        if is_memory_error(error):
            raise
        raise _unreadable(file, error) from error
    state.snapshots = content["snapshots"]
    state.batch_size = content["batch_size"]
    state.micro_batches = content["micro_batches"]
    state.data = data or saved_data
    state.epoch = content["epoch"]
    state.train_losses = content["train_losses"]
    state.metric = metric
    state.scores = content["scores"]
    return state


def require_same_training(file: Path, config: TrainConfig, metric: str) -> None:
    """Refuse a checkpoint that `load_state` would refuse whatever the data: before these are decoded, which takes long.

    Args:
        file: written by `save_state`.
        config: as of `load_state`.
        metric: as of `load_state`.

    Raises:
        CheckpointError: when the file is damaged or belongs to another configuration or metric.
    """
    _require_same(file, _read(file), config, metric)


def estimate_bytes(config: TrainConfig, weights: int, head: int = 0) -> int:
    """Return about how much a checkpoint takes on a disk.

    Args:
        config: what is trained.
        weights: how many numbers the network's weights are.
        head: how many those of an auxiliary head are, of which there is neither a mean nor a snapshot.
    """
    moments = 1 if config.optimizer == "sgd" else 2
    snapshots = config.cycles if config.rate_schedule == "cyclic" else 0
    copies = 1 + moments + bool(config.ema_decay) + snapshots
    return _NUMBER_BYTES * (weights * copies + head * (1 + moments))


def require_readable(file: Path) -> None:
    """Tell a checkpoint that cannot be read at all from one whose content is damaged.

    Raises:
        CheckpointError: when its disk or share does not give it.
    """
    try:
        with open_regular(file) as stream:
            while stream.read(_READ_BYTES):
                continue
    except OSError as error:
        raise _unreadable(file, error) from error


def read_member_weights(file: Path) -> list[dict[str, Tensor]]:
    """Return `member_weights` of a checkpoint, on the CPU.

    Raises:
        CheckpointError: when the file is damaged.
    """
    content = _read(file)
    snapshots: list[dict[str, Tensor]] = content["snapshots"]
    return snapshots or [content["learnt"]["mean_model"] or content["learnt"]["model"]]


def roll_back_to_file(state: TrainState, file: Path, machine: Machine) -> None:
    """Take weights, optimizer and scaler back to what `save_state` wrote of this training after its last whole epoch.

    Raises:
        CheckpointError: when the file is damaged or of another epoch.
    """
    content = _read(file)
    if content["epoch"] != state.epoch:
        raise CheckpointError(
            f"{file} is of epoch {content['epoch']}, and this training would go back to epoch {state.epoch}; write "
            "each epoch's state there before the next one begins."
        )
    roll_back(state, content["learnt"], machine)


def _require_same(file: Path, content: dict[str, Any], config: TrainConfig, metric: str) -> None:
    # A field that is newer than the file has its default there.
    saved = TrainConfig.from_values(content["config"]).values()
    if saved != config.values():
        names = [name for name, value in config.values().items() if saved[name] != value]
        raise CheckpointError(
            f"{file} was saved with another configuration ({', '.join(names)} differ); "
            "start this training in another folder."
        )
    # Files from before there was a choice name no metric.
    saved_metric = content.get("metric", FIRST_METRIC)
    if saved_metric != metric:
        raise CheckpointError(
            f"{file} judged its epochs by {saved_metric}, and this training judges them by {metric}: use --objective "
            f"{saved_metric}, or start this training in another folder."
        )


def _read(file: Path) -> dict[str, Any]:
    try:
        # What goes to the device is copied there part by part; the snapshots never are.
        with open_regular(file) as stream:
            content: dict[str, Any] = torch.load(stream, map_location="cpu", weights_only=True)
        if "ious" in content:
            # The name of the scores before there was a choice of metric.
            content["scores"] = content.pop("ious")
        _require_content(content)
    # torch raises errors of many types for a damaged file.
    except Exception as error:
        raise _unreadable(file, error) from error
    if content["format"] == _FORMAT_OF_FIRST_LOSSES:
        return {**content, "config": translate_first_losses(content["config"])}
    return content


def _require_content(content: dict[str, Any]) -> None:
    if content.get("format") not in (_FORMAT, _FORMAT_OF_FIRST_LOSSES):
        raise ValueError(f"format {content.get('format')!r}, not {_FORMAT!r}")
    unsound = [name for name, kind in _CONTENT.items() if not isinstance(content.get(name), kind)]
    if not unsound:
        learnt = content["learnt"]
        unsound += [name for name, kind in _LEARNT.items() if name not in learnt or not isinstance(learnt[name], kind)]
        unsound += [name for name, kind in _ITEMS.items() if not all(isinstance(each, kind) for each in content[name])]
    if unsound:
        raise ValueError(f"no sound {', '.join(unsound)}")


def _unreadable(file: Path, error: Exception) -> CheckpointError:
    # PyTorch tells a page about how to load what nobody should.
    first = str(error).partition("\n")[0]
    return CheckpointError(
        f"The checkpoint {file} cannot be read ({type(error).__name__}: {first}); delete it to start anew."
    )
