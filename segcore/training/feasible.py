"""Refuses, before anything is trained, a configuration that this data or this machine cannot train."""

from segcore.config import TrainConfig
from segcore.feeding.transforms import require_crop_fits
from segcore.networks.model import require_architecture, require_start


class Feasibility:
    """Looks at configurations, and at each network once, however many share it.

    Args:
        smallest_side: shortest image side of the data, pixels.
    """

    def __init__(self, smallest_side: int) -> None:
        self._smallest_side = smallest_side
        self._known_networks: set[tuple[object, ...]] = set()

    def require(self, config: TrainConfig) -> None:
        """Refuse a configuration that cannot be trained.

        Raises:
            ConfigError: naming what is wrong with it.
            WeightsError: when its weights cannot be had.
        """
        require_crop_fits(self._smallest_side, config)
        network = (config.backbone, config.weights, config.decoder, config.decoder_channels, config.attention)
        if network not in self._known_networks:
            require_architecture(config)
            require_start(config)
            self._known_networks.add(network)
