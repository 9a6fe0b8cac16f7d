"""What a search of a space tries first: configurations that were good on the street scenes that they were measured on.

Small networks on CamVid and on drawn streets, at a third of their size and whole: `benchmarks/results/recorded.md`.
What a configuration leaves open, the space draws; one that it cannot draw for the data is left out.
"""

from typing import Final

Values = dict[str, object]

_MIX: Final[Values] = {
    "decoder": "upernet",
    "loss": "ce+jaccard",
    "class_weights": "balanced",
    "augmentation": "light",
    "class_mix_probability": 0.0,
}
_WHOLE: Final[Values] = _MIX | {"ohem_share": 0.25, "batch_size": 4, "ema_decay": 0.99}
"""Few images a step, each of them whole: the hardest of so many pixels are enough."""
_CROPPED: Final[Values] = _MIX | {"input_mode": "crop", "scale_jitter": 1.5, "rare_crop_probability": 0.0}

_LITE2: Final[Values] = {"backbone": "tf_efficientnet_lite2", "decoder_channels": 128, "label_smoothing": 0.0}
_WHOLE_LITE2: Final[Values] = _LITE2 | _WHOLE | {"encoder_rate_factor": 0.3, "weight_decay": 0.003}
_CROPPED_LITE2: Final[Values] = _LITE2 | _CROPPED | {"encoder_rate_factor": 0.4, "weight_decay": 0.005}

KNOWN_GOOD: Final[dict[str, tuple[Values, ...]]] = {
    "street_offline": (
        # Drawn for small images alone.
        _WHOLE_LITE2 | {"input_mode": "resize", "scale": 1.5, "learning_rate": 0.004},
        _WHOLE_LITE2 | {"input_mode": "full", "learning_rate": 0.003},
        _CROPPED_LITE2 | {"ohem_share": 1.0, "batch_size": 16, "ema_decay": 0.0, "learning_rate": 0.0034},
    ),
    # What these have in common, around any network: which is good, and at which rate, small ones do not tell. No larger
    # network was measured with it.
    "street": (
        _WHOLE | {"labels": "full", "input_mode": "full"},
        _CROPPED | {"labels": "full", "max_class_share": 1.0, "ohem_share": 0.25, "batch_size": 8, "ema_decay": 0.99},
    ),
    "street_small": (
        {"decoder": "segformer", "decoder_channels": 128, "loss": "ce", "class_weights": "balanced"}
        | {"ohem_share": 0.25, "input_mode": "full", "batch_size": 8, "augmentation": "light"},
    ),
}
"""By space, the best first."""
