"""The space of the recorded table: the choices of `street` at the size of seconds, with weights that are installed.

    python -m benchmarks.quality record --space benchmarks.quality.recording_space:recorded_street

Parts are conditional, and what they cost differs by several times: steps of an epoch, pixels, decoders. It is meant for
images of 100 to 200 pixels: larger ones are better made smaller beforehand (`shrink`) than in every training.
"""

from typing import Final

import optuna

from spaces.crops import fitting_crop_sizes

_PRETRAINED: Final = ("tf_efficientnet_lite0", "tf_efficientnet_lite2")
_DECODERS: Final = ("upernet", "segformer", "unet", "fpn")
_LOSSES: Final = ("ce", "ce+dice", "ce+jaccard", "ce+lovasz", "focal+jaccard")
"""Own ones: a table that was begun keeps its space whatever becomes of `street`."""
_CROP_SIZES: Final = (128, 96, 64)


def recorded_street(trial: optuna.Trial) -> dict[str, object]:
    """Draw network, loss, input and rates; what belongs to a part alone is drawn with that part alone."""
    constants: dict[str, object] = {"optimizer": "adamw", "decay_on": "kernels", "rate_schedule": "poly"}
    # Small networks of many operations: a lower precision would only add more of them.
    constants |= {"gradient_clip": 1.0, "precision": "fp32"}
    if trial.suggest_categorical("backbone", (*_PRETRAINED, "resnet18")) in _PRETRAINED:
        trial.suggest_float("encoder_rate_factor", 0.1, 1.0, log=True)
    else:
        constants["weights"] = "none"
    if trial.suggest_categorical("decoder", _DECODERS) == "unet":
        trial.suggest_categorical("attention", ("none", "scse"))
    trial.suggest_categorical("decoder_channels", (32, 64, 128))
    if "focal" in trial.suggest_categorical("loss", _LOSSES):
        trial.suggest_float("focal_gamma", 1.0, 4.0)
    trial.suggest_categorical("class_weights", ("none", "balanced"))
    if trial.suggest_categorical("ohem_share", (1.0, 0.25)) < 1:
        trial.suggest_float("ohem_probability", 0.5, 0.9)
    _draw_input(trial)
    trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True)
    trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True)
    trial.suggest_categorical("batch_size", (4, 8, 16))
    trial.suggest_categorical("augmentation", ("none", "flip", "light"))
    trial.suggest_categorical("ema_decay", (0.0, 0.95))
    return constants


def _draw_input(trial: optuna.Trial) -> None:
    mode = trial.suggest_categorical("input_mode", ("crop", "resize", "full"))
    if mode == "resize":
        trial.suggest_categorical("scale", (0.5, 0.75, 1.5))
    if mode != "crop":
        return
    trial.suggest_categorical("crop_size", fitting_crop_sizes(trial, _CROP_SIZES))
    trial.suggest_categorical("crops_per_image", (1, 2))
    trial.suggest_categorical("scale_jitter", (1.0, 1.5, 2.0))
    trial.suggest_categorical("rare_crop_probability", (0.0, 0.5))
