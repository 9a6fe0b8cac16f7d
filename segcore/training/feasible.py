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
from segcore.training.checkpoint import estimate_bytes
from segcore.training.memory import require_batch_fits


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
        self._head_of_encoder: dict[tuple[object, ...], int] = {}
        self._layered: set[tuple[object, ...]] = set()
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
        encoder = (config.backbone, config.backbone_options, config.crop_size if takes_one_size(config) else 0)
        network = (*encoder, config.weights, config.decoder, config.decoder_channels, config.attention, outputs)
        weights = require_architecture(config)
        if network not in self._taken_of_network:
            taken = require_start(config, outputs)
            self._taken_of_network[network] = f"{config.backbone}, {config.decoder}: {taken}" if taken else ""
        # One decoder alone takes other features of an encoder.
        seen = (*encoder, config.decoder == "dpt")
        if config.encoder_layer_decay < 1 and seen not in self._layered:
            _require_layers(config, outputs)
            self._layered.add(seen)
        head = self._measure_head(config, outputs, seen) if config.auxiliary_weight else 0
        found = estimate_bytes(config, weights, head)
        self.checkpoint_bytes = max(self.checkpoint_bytes, found)

    def _measure_head(self, config: TrainConfig, outputs: int, seen: tuple[object, ...]) -> int:
        """Return how many numbers the auxiliary head is."""
        if (*seen, outputs) not in self._head_of_encoder:
            network = build_shapes(config, outputs).network
            with torch.device("meta"):
                self._head_of_encoder[*seen, outputs] = count_weights(AuxiliaryHead(network, outputs))
        return self._head_of_encoder[*seen, outputs]


def require_network(config: TrainConfig, classes: ClassTable) -> None:
    """Refuse a network that cannot be built, started or taught: before images are decoded, which takes long.

    Args:
        config: what makes the network, its weights and encoder_layer_decay are used.
        classes: of the data.

    Raises:
        ConfigError: naming what is wrong with it.
        WeightsError: when its weights cannot be had.
    """
    outputs = build_label_map(classes, config.labels).outputs
    require_architecture(config)
    require_start(config, outputs)
    if config.encoder_layer_decay < 1:
        _require_layers(config, outputs)


def _require_layers(config: TrainConfig, outputs: int) -> None:
    find_layers(config, [name for name, _ in build_shapes(config, outputs).network.encoder.named_parameters()])
