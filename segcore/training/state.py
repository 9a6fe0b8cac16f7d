"""`TrainState`: all that a training needs to go on after any epoch.

Random numbers need no state here: every epoch seeds them anew from (seed, epoch), see `epoch` and `loader`. How a state
lies on disk is in `checkpoint`.
"""

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from segcore.config import TrainConfig
from segcore.machine import Machine, build_scaler
from segcore.networks.auxiliary import AuxiliaryHead
from segcore.networks.model import SegmentationModel, build_model
from segcore.scoring.objective import FIRST_METRIC
from segcore.training.optimizer import build_optimizer


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
    state = assemble(build_model(config, outputs).to(machine.device), config, outputs, machine)
    state.data, state.metric = data, metric
    return state


def member_weights(state: TrainState) -> list[dict[str, Tensor]]:
    """Return the weights of the networks that a finished training gives a model: its snapshots, or the final ones."""
    return state.snapshots or [state.final_model.state_dict()]


def take_snapshot(state: TrainState) -> None:
    """Keep the weights that `final_model` has now as a member of the model."""
    weights = state.final_model.state_dict()
    state.snapshots.append({name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()})


def copy_learnt(state: TrainState) -> io.BytesIO:
    """Return a copy of weights, optimizer and scaler, off the device, to which `roll_back_to_copy` takes them back."""
    remembered = io.BytesIO()
    torch.save(list_learnt(state), remembered)
    return remembered


def roll_back_to_copy(state: TrainState, remembered: io.BytesIO, machine: Machine) -> None:
    """Take weights, optimizer and scaler back to a copy that `copy_learnt` made."""
    remembered.seek(0)
    roll_back(state, torch.load(remembered, map_location="cpu", weights_only=True), machine)


def list_learnt(state: TrainState) -> dict[str, Any]:
    """Return what epochs change: weights, optimizer and scaler, by name; the tensors themselves, not copies."""
    learnt = {
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "scaler": state.scaler.state_dict(),
        "mean_model": state.mean_model.state_dict() if state.mean_model is not None else None,
    }
    return learnt if state.auxiliary is None else {**learnt, "auxiliary": state.auxiliary.state_dict()}


def load_learnt(state: TrainState, learnt: dict[str, Any]) -> None:
    """Give a state what `list_learnt` returned of a training with the same configuration."""
    state.model.load_state_dict(learnt["model"])
    state.optimizer.load_state_dict(learnt["optimizer"])
    state.scaler.load_state_dict(learnt["scaler"])
    if state.mean_model is not None:
        state.mean_model.load_state_dict(learnt["mean_model"])
    if state.auxiliary is not None:
        state.auxiliary.load_state_dict(learnt["auxiliary"])


def roll_back(state: TrainState, learnt: dict[str, Any], machine: Machine) -> None:
    """Take a state whose epoch was interrupted back to what `list_learnt` returned before."""
    # A scaler that an error interrupted believes that its step is half done.
    state.scaler = build_scaler(state.config, machine)
    load_learnt(state, learnt)


def assemble(model: SegmentationModel, config: TrainConfig, outputs: int, machine: Machine) -> TrainState:
    """Return the start of a training of a network that is on its device already."""
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
