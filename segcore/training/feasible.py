"""Refuses, before anything is trained, a configuration that this data or this machine cannot train."""

from collections.abc import Collection

import torch

from segcore.config import TrainConfig
from segcore.data.classes import ClassTable
from segcore.data.labels import build_label_map
from segcore.feeding.transforms import require_crop_fits, sample_size
from segcore.networks.auxiliary import AuxiliaryHead
from segcore.networks.encoders import takes_one_size
from segcore.networks.layers import find_layers
from segcore.networks.model import build_shapes, count_weights, require_architecture, require_start
from segcore.training.memory import require_batch_fits
from segcore.training.state import estimate_bytes


class Feasibility:
    """Looks at configurations, and at each network once, however many share it.

    Args:
        sizes: (height, width) of the data's images, pixels; at least one.
        classes: of the data.
        usual_side: what the shorter sides of nearly all images reach, pixels, see `sides`.
    """

    def __init__(self, sizes: Collection[tuple[int, int]], classes: ClassTable, usual_side: int) -> None:
        self._sizes = frozenset(sizes)
        self._usual_side = usual_side
        self._classes = classes
        self._taken_of_network: dict[tuple[object, ...], str] = {}
        self._weights_of_network: dict[tuple[object, ...], int] = {}
        self.checkpoint_bytes = 0
        """Of the largest checkpoint of those that were looked at, about."""

    @property
    def taken(self) -> tuple[str, ...]:
        """What networks take of weights files, a line for each network that was looked at."""
        return tuple(dict.fromkeys(line for line in self._taken_of_network.values() if line))

    def require(self, config: TrainConfig) -> None:
        """Refuse a configuration that cannot be trained.

        Raises:
            ConfigError: naming what is wrong with it.
            WeightsError: when its weights cannot be had.
        """
        require_crop_fits(self._usual_side, config)
        require_batch_fits(min(max(sample_size(*size, config)) for size in self._sizes), config)
        outputs = build_label_map(self._classes, config.labels).outputs
        network = (
            *(config.backbone, config.weights, config.decoder, config.decoder_channels, config.attention, outputs),
            config.crop_size if takes_one_size(config) else 0,
            config.backbone_options,
        )
        if network not in self._taken_of_network:
            self._weights_of_network[network] = require_architecture(config)
            taken = require_start(config, outputs)
            self._taken_of_network[network] = f"{config.backbone}, {config.decoder}: {taken}" if taken else ""
        head = _try_learning(config, outputs)
        found = estimate_bytes(config, self._weights_of_network[network], head)
        self.checkpoint_bytes = max(self.checkpoint_bytes, found)


def _try_learning(config: TrainConfig, outputs: int) -> int:
    """Refuse rates of layers where none are known, and return how many numbers the auxiliary head is."""
    if config.auxiliary_weight == 0 and config.encoder_layer_decay == 1:
        return 0
    network = build_shapes(config, outputs).network
    if config.encoder_layer_decay < 1:
        find_layers(config, [name for name, _ in network.encoder.named_parameters()])
    if config.auxiliary_weight == 0:
        return 0
    with torch.device("meta"):
        return count_weights(AuxiliaryHead(network, outputs))
