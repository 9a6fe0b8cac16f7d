"""The optimizer: groups of weights that learn at rates of their own; the rate's course lives in `schedule`."""

from typing import Any

import torch

from segcore.config import TrainConfig
from segcore.networks.model import SegmentationModel


def build_optimizer(model: SegmentationModel, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimizer that a configuration names, of all weights that it trains.

    Args:
        model: on its device.
        config: optimizer, rate, decay and the encoder's share of the rate are used.
    """
    groups = _group_parameters(model, config)
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


def _group_parameters(model: SegmentationModel, config: TrainConfig) -> list[dict[str, Any]]:
    of_encoder = {id(parameter) for parameter in model.network.encoder.parameters()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    encoder = [parameter for parameter in trained if id(parameter) in of_encoder]
    others = [parameter for parameter in trained if id(parameter) not in of_encoder]
    groups = [(encoder, config.encoder_rate_factor), (others, 1.0)]
    return [{"params": parameters, "rate_factor": factor} for parameters, factor in groups if parameters]
