"""Former editions of spaces, for searches that began with them."""

import optuna

from spaces.crops import fitting_crop_sizes

_BACKBONES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "wide_resnet50_2",
    "tf_efficientnet_lite0",
    "tf_efficientnetv2_s",
)
_LOSSES = ("ce", "jaccard", "focal", "ce+jaccard", "focal+jaccard")
_CROP_SIZES = (768, 512, 256, 128, 64)


def first_street(trial: optuna.Trial) -> dict[str, object]:
    """Draw as `street` did in its first edition."""
    trial.suggest_categorical("backbone", _BACKBONES)
    if trial.suggest_categorical("decoder", ("unet", "linknet", "fpn", "upernet")) == "unet":
        trial.suggest_categorical("attention", ("none", "scse"))
    if trial.suggest_categorical("loss", _LOSSES) != "jaccard":
        trial.suggest_categorical("class_weights", ("none", "balanced"))
    trial.suggest_categorical("labels", ("full", "scored"))
    mode = trial.suggest_categorical("input_mode", ("crop", "resize", "full"))
    if mode == "crop":
        trial.suggest_categorical("crop_size", fitting_crop_sizes(trial, _CROP_SIZES))
    elif mode == "resize":
        trial.suggest_categorical("scale", (0.5, 0.75))
    trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True)
    trial.suggest_float("weight_decay", 1e-5, 1e-2, log=True)
    trial.suggest_categorical("batch_size", (4, 8, 16))
    trial.suggest_categorical("rate_schedule", ("plateau", "onecycle", "cosine"))
    trial.suggest_categorical("augmentation", ("flip", "light", "strong"))
    return {"optimizer": "adamw"}
