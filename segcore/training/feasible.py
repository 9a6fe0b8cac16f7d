"""Refuses, before anything is trained, a configuration that this data or this machine cannot train."""

from collections.abc import Collection

from segcore.config import TrainConfig
from segcore.feeding.transforms import require_crop_fits, sample_size
from segcore.networks.model import require_architecture, require_start
from segcore.training.memory import require_batch_fits


class Feasibility:
    """Looks at configurations, and at each network once, however many share it.

    Args:
        sizes: (height, width) of the data's images, pixels; at least one.
        usual_side: what the shorter sides of nearly all of them reach, pixels, see `sides`.
    """

    def __init__(self, sizes: Collection[tuple[int, int]], usual_side: int) -> None:
        self._sizes = frozenset(sizes)
        self._usual_side = usual_side
        self._known_networks: set[tuple[object, ...]] = set()

    def require(self, config: TrainConfig) -> None:
        """Refuse a configuration that cannot be trained.

        Raises:
            ConfigError: naming what is wrong with it.
            WeightsError: when its weights cannot be had.
        """
        require_crop_fits(self._usual_side, config)
        require_batch_fits(min(max(sample_size(*size, config)) for size in self._sizes), config)
        network = (config.backbone, config.weights, config.decoder, config.decoder_channels, config.attention)
        if network not in self._known_networks:
            require_architecture(config)
            require_start(config)
            self._known_networks.add(network)
