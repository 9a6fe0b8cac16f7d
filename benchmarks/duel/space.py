"""What both searches draw from, small networks that a CPU trains: `small` unless another is named."""

from typing import Final

import optuna

CROP_SIZES: Final = (256, 192, 128, 96, 64)
"""Pixels; the three largest that fit the data are drawn from."""
_LITE0: Final[dict[str, object]] = {"backbone": "tf_efficientnet_lite0", "decoder_channels": 64}
"""Its ImageNet weights need no network."""
_QUARTER: Final[dict[str, object]] = {"input_mode": "resize", "scale": 0.25}


def small(trial: optuna.Trial) -> dict[str, object]:
    """Draw decoder, loss, class weights, input and rate; crop size only when cropping, scale only when resizing."""
    values = _draw_network(trial)
    if trial.suggest_categorical("input_mode", ("crop", "resize")) == "crop":
        smallest_side = trial.study.user_attrs["smallest_side"]
        sizes = tuple(size for size in CROP_SIZES if size <= smallest_side)[:3] or (smallest_side,)
        trial.suggest_categorical("crop_size", sizes)
    else:
        trial.suggest_categorical("scale", (0.25, 0.4, 0.5))
    return values


def quarter(trial: optuna.Trial) -> dict[str, object]:
    """Draw decoder, loss, class weights and rate of networks that see images at a quarter of their size.

    An epoch of CamVid takes seconds, so that searches of minutes get to the last epoch of some trials.
    """
    return _draw_network(trial) | _QUARTER


def recent(trial: optuna.Trial) -> dict[str, object]:
    """Draw what street networks are trained with today, at a quarter of the images' size as well."""
    trial.suggest_categorical("decoder", ("upernet", "fpn", "unet"))
    trial.suggest_categorical("loss", ("ce", "ce+jaccard", "ce+lovasz", "ce+boundary"))
    trial.suggest_categorical("class_weights", ("none", "balanced"))
    trial.suggest_categorical("ohem_share", (1.0, 0.25))
    trial.suggest_categorical("augmentation", ("flip", "light"))
    trial.suggest_categorical("batch_size", (4, 8))
    trial.suggest_float("learning_rate", 5e-4, 5e-3, log=True)
    trial.suggest_float("encoder_rate_factor", 0.2, 1.0, log=True)
    return _LITE0 | _QUARTER | {"optimizer": "adamw", "rate_schedule": "onecycle"}


def _draw_network(trial: optuna.Trial) -> dict[str, object]:
    trial.suggest_categorical("decoder", ("unet", "fpn", "linknet", "upernet"))
    trial.suggest_categorical("class_weights", ("none", "balanced"))
    trial.suggest_categorical("loss", ("ce", "ce+jaccard", "focal+jaccard"))
    trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True)
    return _LITE0 | {"batch_size": 8}
