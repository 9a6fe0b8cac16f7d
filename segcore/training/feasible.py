"""Refuses, before anything is trained, a configuration that this data or this machine cannot train."""

from segcore.config import TrainConfig
from segcore.feeding.transforms import require_crop_fits
from segcore.networks.model import require_architecture
from segcore.networks.weights import require_weights


class Feasibility:
    """Looks at configurations, and at each network once, however many share it.

    Args:
        usual_side: what the shorter sides of nearly all images of the data reach, pixels; see `sides`.
    """

    def __init__(self, usual_side: int) -> None:
        self._usual_side = usual_side
        self._known_networks: set[tuple[object, ...]] = set()

    def require(self, config: TrainConfig) -> None:
        """Refuse a configuration that cannot be trained.

        Raises:
            ConfigError: naming what is wrong with it.
            WeightsError: when its weights cannot be had.
        """
        require_crop_fits(self._usual_side, config)
        network = (config.backbone, config.weights, config.decoder, config.decoder_channels, config.attention)
        if network not in self._known_networks:
            require_architecture(config)
            require_weights(config)
            self._known_networks.add(network)
