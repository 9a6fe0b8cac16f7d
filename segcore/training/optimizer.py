"""The optimizer: groups of weights that learn at rates of their own; the rate's course lives in `schedule`."""

from typing import Any, Final

import torch
from torch import nn

from segcore.config import TrainConfig
from segcore.networks.auxiliary import AuxiliaryHead
from segcore.networks.layers import find_layers, find_undecayed
from segcore.networks.model import SegmentationModel

_OF_ENCODER: Final = "network.encoder."


def build_optimizer(
    model: SegmentationModel, config: TrainConfig, auxiliary: AuxiliaryHead | None = None
) -> torch.optim.Optimizer:
    """Return the optimizer that a configuration names, of all weights that it trains.

    Args:
        model: on its device.
        config: optimizer, rate, decay and what divides them are used.
        auxiliary: learns beside it at the decoder's rate, or None.

    Raises:
        ConfigError: when layers of the encoder are to learn at rates of their own, and timm knows none.
    """
    groups = _group_parameters(model, config, auxiliary)
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=0.9, weight_decay=decay, fused=True)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate, weight_decay=decay, fused=True)
    return torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group of parameters, times the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]


def _group_parameters(
    model: SegmentationModel, config: TrainConfig, auxiliary: AuxiliaryHead | None
) -> list[dict[str, Any]]:
    """Return the groups in an order that only the configuration decides, the encoder's first."""
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    names = [name.removeprefix(_OF_ENCODER) for name, _ in trained if name.startswith(_OF_ENCODER)]
    depths = find_layers(config, names) if config.encoder_layer_decay < 1 else dict.fromkeys(names, 0)
    undecayed = find_undecayed(config, names) if config.decay_on == "kernels" else frozenset()
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in trained:
        own = name.removeprefix(_OF_ENCODER)
        # Minus the depth: the encoder's first layer is the first group, and what is no encoder's comes behind all.
        place = -depths[own] if name.startswith(_OF_ENCODER) else 1
        groups.setdefault((place, _is_decayed(name, parameter, config) and own not in undecayed), []).append(parameter)
    for name, parameter in auxiliary.named_parameters() if auxiliary is not None else ():
        groups.setdefault((1, _is_decayed(name, parameter, config)), []).append(parameter)
    return [_describe_group(*key, groups[key], config) for key in sorted(groups)]


def _describe_group(place: int, decayed: bool, parameters: list[nn.Parameter], config: TrainConfig) -> dict[str, Any]:
    factor = 1.0 if place == 1 else config.encoder_rate_factor * config.encoder_layer_decay**-place
    group: dict[str, Any] = {"params": parameters, "rate_factor": factor}
    return group if decayed else {**group, "weight_decay": 0.0}


def _is_decayed(name: str, parameter: nn.Parameter, config: TrainConfig) -> bool:
    return config.decay_on == "all" or not (parameter.ndim <= 1 or name.endswith(".bias"))
