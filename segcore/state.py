"""`TrainState`: all that a training needs to go on after any epoch; saved atomically, loaded whole.

Random numbers need no state here: every epoch seeds them anew from (seed, epoch), see `train` and `loader`.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from segcore.config import TrainConfig
from segcore.errors import CheckpointError, StorageError, StreetError
from segcore.machine import Machine
from segcore.model import SegmentationModel, build_architecture, build_model

_FORMAT: Final = "street-state-1"


@dataclass(slots=True, kw_only=True)
class TrainState:
    """A training between two epochs; `train_epochs` advances it.

    Args:
        config: what is trained.
        outputs: number of network outputs.
        model: the network, on its device.
        optimizer: the optimizer of its parameters.
        epoch: finished epochs.
        train_losses: mean training loss of each finished epoch.
        ious: validation `iou` of each finished epoch.
    """

    config: TrainConfig
    outputs: int
    model: SegmentationModel
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    train_losses: list[float] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)


def new_state(config: TrainConfig, outputs: int, machine: Machine) -> TrainState:
    """Build the start of a training; the same seed gives the same weights.

    Raises:
        ConfigError: for a backbone that cannot be used.
        WeightsError: when the encoder's weights cannot be had.
    """
    torch.manual_seed(config.seed)
    model = build_model(config, outputs).to(machine.device)
    return TrainState(config=config, outputs=outputs, model=model, optimizer=_build_optimizer(model, config, machine))


def save_state(state: TrainState, file: Path) -> None:
    """Write the state so that the file is either the old one or the new one, never a part.

    Raises:
        StorageError: when the file cannot be written.
    """
    content = {
        "format": _FORMAT,
        "config": state.config.values(),
        "outputs": state.outputs,
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "epoch": state.epoch,
        "train_losses": state.train_losses,
        "ious": state.ious,
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


def load_state(file: Path, config: TrainConfig, machine: Machine) -> TrainState:
    """Read a state back onto a device.

    Args:
        file: written by `save_state`.
        config: the configuration that the caller is training; it must be the saved one.
        machine: where to go on.

    Raises:
        CheckpointError: when the file is damaged or belongs to another configuration.
    """
    content = _read(file, machine)
    # A field that is newer than the file has its default there.
    saved = TrainConfig.from_values(content["config"]).values()
    if saved != config.values():
        names = [name for name, value in config.values().items() if saved[name] != value]
        raise CheckpointError(
            f"{file} was saved with another configuration ({', '.join(names)} differ); "
            "start this training in another folder."
        )
    model = build_architecture(config, content["outputs"]).to(machine.device)
    model.load_state_dict(content["model"])
    optimizer = _build_optimizer(model, config, machine)
    optimizer.load_state_dict(content["optimizer"])
    return TrainState(
        config=config,
        outputs=content["outputs"],
        model=model,
        optimizer=optimizer,
        epoch=content["epoch"],
        train_losses=content["train_losses"],
        ious=content["ious"],
    )


def _read(file: Path, machine: Machine) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(file, map_location=machine.device, weights_only=True)
        if content.get("format") != _FORMAT:
            raise CheckpointError(f"{file} has format {content.get('format')!r}, not {_FORMAT!r}.")
    except StreetError:
        raise
    # torch raises errors of many types for a damaged file.
    except Exception as error:
        raise CheckpointError(
            f"The checkpoint {file} cannot be read ({type(error).__name__}: {error}); delete it to start anew."
        ) from error
    return content


def _build_optimizer(model: SegmentationModel, config: TrainConfig, machine: Machine) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate, decay, fused = config.learning_rate, config.weight_decay, machine.on_gpu
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay, fused=fused)
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=fused)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=fused)
