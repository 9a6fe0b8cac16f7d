"""`street_offline`: street scenes on GPUs without a way to a model hub; every network starts pretrained."""

import optuna

from spaces.crops import fitting_crop_sizes, fitting_scales

BACKBONES = ("tf_efficientnet_lite0", "tf_efficientnet_lite2")
"""Their ImageNet weights come with the installation."""
DECODERS = ("upernet", "unet", "fpn", "deeplabv3plus")
LOSSES = ("ce", "ce+dice", "ce+lovasz", "ce+jaccard", "ce+boundary")


def street_offline(trial: optuna.Trial) -> dict[str, object]:
    """Draw network, loss, input and rates; what belongs to crops alone is drawn when cropping alone."""
    return draw_street_offline(trial, fitting_scales(trial))


def draw_street_offline(trial: optuna.Trial, scales: tuple[float, ...]) -> dict[str, object]:
    """Draw as `street_offline` does, with given scales to resize images by."""
    trial.suggest_categorical("backbone", BACKBONES)
    trial.suggest_categorical("decoder", DECODERS)
    trial.suggest_categorical("decoder_channels", (64, 128))
    trial.suggest_categorical("loss", LOSSES)
    trial.suggest_categorical("class_weights", ("none", "balanced"))
    trial.suggest_categorical("ohem_share", (1.0, 0.25))
    trial.suggest_categorical("label_smoothing", (0.0, 0.05))
    mode = trial.suggest_categorical("input_mode", ("crop", "resize", "full"))
    if mode == "resize":
        trial.suggest_categorical("scale", scales)
    elif mode == "crop":
        trial.suggest_categorical("crop_size", fitting_crop_sizes(trial, count=2))
        trial.suggest_categorical("scale_jitter", (1.0, 1.5, 2.0))
        trial.suggest_categorical("rare_crop_probability", (0.0, 0.5))
    trial.suggest_categorical("class_mix_probability", (0.0, 0.25))
    trial.suggest_categorical("augmentation", ("flip", "light", "strong"))
    trial.suggest_categorical("batch_size", (4, 8, 16))
    trial.suggest_float("learning_rate", 3e-4, 5e-3, log=True)
    trial.suggest_float("encoder_rate_factor", 0.1, 1.0, log=True)
    trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True)
    trial.suggest_categorical("ema_decay", (0.0, 0.99))
    return {"optimizer": "adamw", "decay_on": "kernels", "rate_schedule": "onecycle", "gradient_clip": 1.0}
