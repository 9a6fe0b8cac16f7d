"""`TrainState`: all that a training needs to go on after any epoch; saved atomically, loaded whole.

Random numbers need no state here: every epoch seeds them anew from (seed, epoch), see `epoch` and `loader`.
"""

import copy
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from segcore.config import TrainConfig
from segcore.errors import CheckpointError, StorageError
from segcore.expressions import translate_first_losses
from segcore.machine import Machine, build_scaler
from segcore.networks.auxiliary import AuxiliaryHead
from segcore.networks.model import SegmentationModel, build_architecture, build_model
from segcore.scoring.objective import FIRST_METRIC
from segcore.training.optimizer import build_optimizer

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


@dataclass(slots=True, kw_only=True)
class TrainState:
    """A training between two epochs; `train_epochs` advances it.

    Args:
        config: what is trained.
        outputs: number of network outputs.
        model: the network, on its device.
        optimizer: the optimizer of its parameters; a group's `rate_factor` multiplies its rate.
        scaler: scales the loss at fp16.
        mean_model: running mean of the network's weights, or None when the configuration wants none.
        auxiliary: second head that is taught beside the network, or None; no mean is kept of what never predicts.
        data: says what is trained on and validated; equal for equal data, empty where the caller keeps watch itself.
        snapshots: weights of `final_model` at the end of each cycle of a cyclic rate, on the CPU.
        batch_size: samples of a batch; 0 until the first epoch finds what `auto` means here.
        micro_batches: parts into which a batch is divided so that each fits the device.
        epoch: finished epochs.
        train_losses: mean training loss of each finished epoch.
        metric: what decides whether an epoch was better, see `segcore.scoring.objective`.
        scores: the validation's value of it after each finished epoch.
        forward: gives the network's logits in training where it is compiled, see `compiling`; never saved.
    """

    config: TrainConfig
    outputs: int
    model: SegmentationModel
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    mean_model: SegmentationModel | None
    auxiliary: AuxiliaryHead | None = None
    data: str = ""
    snapshots: list[dict[str, Tensor]] = field(default_factory=list)
    batch_size: int = 0
    micro_batches: int = 1
    epoch: int = 0
    train_losses: list[float] = field(default_factory=list)
    metric: str = FIRST_METRIC
    scores: list[float] = field(default_factory=list)
    forward: Callable[[Tensor], Tensor] | None = None

    @property
    def final_model(self) -> SegmentationModel:
        """The network that is validated and kept: the running mean where there is one."""
        return self.model if self.mean_model is None else self.mean_model


def new_state(
    config: TrainConfig, outputs: int, machine: Machine, data: str = "", metric: str = FIRST_METRIC
) -> TrainState:
    """Build the start of a training; the same seed gives the same weights.

    Args:
        config: what is trained.
        outputs: number of network outputs.
        machine: where to train.
        data: says what is trained on and validated; `load_state` compares it.
        metric: what decides whether an epoch was better.

    Raises:
        ConfigError: for a backbone that cannot be used.
        WeightsError: when the encoder's weights cannot be had.
    """
    torch.manual_seed(config.seed)
    state = _assemble(build_model(config, outputs).to(machine.device), config, outputs, machine)
    state.data, state.metric = data, metric
    return state


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
        "learnt": _list_learnt(state),
        "snapshots": state.snapshots,
        "batch_size": state.batch_size,
        "micro_batches": state.micro_batches,
        "epoch": state.epoch,
        "train_losses": state.train_losses,
        "metric": state.metric,
        "scores": state.scores,
    }
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
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
    # A field that is newer than the file has its default there.
    saved = TrainConfig.from_values(content["config"]).values()
    if saved != config.values():
        names = [name for name, value in config.values().items() if saved[name] != value]
        raise CheckpointError(
            f"{file} was saved with another configuration ({', '.join(names)} differ); "
            "start this training in another folder."
        )
    # A file that is older than the field says nothing.
    saved_data = content.get("data", "")
    if data and saved_data and data != saved_data:
        raise CheckpointError(
            f"{file} was trained on other data ({saved_data}, now {data}): images, masks, classes, extra data sets and "
            "the fold must be the same; restore them, or start this training in another folder."
        )
    # Files from before there was a choice name no metric.
    saved_metric = content.get("metric", FIRST_METRIC)
    if saved_metric != metric:
        raise CheckpointError(
            f"{file} judged its epochs by {saved_metric}, and this training judges them by {metric}: use --objective "
            f"{saved_metric}, or start this training in another folder."
        )
    outputs = content["outputs"]
    state = _assemble(build_architecture(config, outputs).to(machine.device), config, outputs, machine)
    try:
        _load_learnt(state, content["learnt"])
    # torch raises errors of many types for tensors that belong elsewhere.
    except Exception as error:
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
        with file.open("rb") as stream:
            while stream.read(_READ_BYTES):
                continue
    except OSError as error:
        raise _unreadable(file, error) from error


def member_weights(state: TrainState) -> list[dict[str, Tensor]]:
    """Return the weights of the networks that a finished training gives a model: its snapshots, or the final ones."""
    return state.snapshots or [state.final_model.state_dict()]


def read_member_weights(file: Path) -> list[dict[str, Tensor]]:
    """Return `member_weights` of a checkpoint, on the CPU.

    Raises:
        CheckpointError: when the file is damaged.
    """
    content = _read(file)
    snapshots: list[dict[str, Tensor]] = content["snapshots"]
    return snapshots or [content["learnt"]["mean_model"] or content["learnt"]["model"]]


def take_snapshot(state: TrainState) -> None:
    """Keep the weights that `final_model` has now as a member of the model."""
    weights = state.final_model.state_dict()
    state.snapshots.append({name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()})


def copy_learnt(state: TrainState) -> io.BytesIO:
    """Return a copy of weights, optimizer and scaler, off the device, to which `restore_learnt` takes them back."""
    remembered = io.BytesIO()
    torch.save(_list_learnt(state), remembered)
    return remembered


def restore_learnt(state: TrainState, remembered: io.BytesIO, machine: Machine) -> None:
    """Take weights, optimizer and scaler back to a copy that `copy_learnt` made."""
    remembered.seek(0)
    _restore(state, torch.load(remembered, map_location="cpu", weights_only=True), machine)


def restore_saved(state: TrainState, file: Path, machine: Machine) -> None:
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
    _restore(state, content["learnt"], machine)


def _list_learnt(state: TrainState) -> dict[str, Any]:
    learnt = {
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "scaler": state.scaler.state_dict(),
        "mean_model": state.mean_model.state_dict() if state.mean_model is not None else None,
    }
    return learnt if state.auxiliary is None else {**learnt, "auxiliary": state.auxiliary.state_dict()}


def _load_learnt(state: TrainState, learnt: dict[str, Any]) -> None:
    state.model.load_state_dict(learnt["model"])
    state.optimizer.load_state_dict(learnt["optimizer"])
    state.scaler.load_state_dict(learnt["scaler"])
    if state.mean_model is not None:
        state.mean_model.load_state_dict(learnt["mean_model"])
    if state.auxiliary is not None:
        state.auxiliary.load_state_dict(learnt["auxiliary"])


def _restore(state: TrainState, learnt: dict[str, Any], machine: Machine) -> None:
    # A scaler that an error interrupted believes that its step is half done.
    state.scaler = build_scaler(state.config, machine)
    _load_learnt(state, learnt)
    state.optimizer.zero_grad(set_to_none=True)


def _assemble(model: SegmentationModel, config: TrainConfig, outputs: int, machine: Machine) -> TrainState:
    if config.freeze == "encoder":
        model.network.encoder.requires_grad_(False)
    # Built after the network, whose random start is the same with and without it.
    auxiliary = AuxiliaryHead(model.network, outputs).to(machine.device) if config.auxiliary_weight else None
    return TrainState(
        config=config,
        outputs=outputs,
        model=model,
        optimizer=build_optimizer(model, config, auxiliary),
        scaler=build_scaler(config, machine),
        mean_model=copy.deepcopy(model).requires_grad_(False) if config.ema_decay else None,
        auxiliary=auxiliary,
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        # What goes to the device is copied there part by part; the snapshots never are.
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
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
    if unsound:
        raise ValueError(f"no sound {', '.join(unsound)}")


def _unreadable(file: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"The checkpoint {file} cannot be read ({type(error).__name__}: {error}); delete it to start anew."
    )
