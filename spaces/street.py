"""`street`: the space for street scenes on GPUs, drawn from what the contest's author tried."""

import optuna

BACKBONES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "wide_resnet50_2",
    "tf_efficientnet_lite0",
    "tf_efficientnetv2_s",
)
LOSSES = ("ce", "jaccard", "focal", "ce+jaccard", "focal+jaccard")
CROP_SIZES = (768, 512, 256, 128, 64)
"""Pixels; the three largest that fit the data are drawn from."""


def street(trial: optuna.Trial) -> dict[str, object]:
    """Draw network, loss, input and rates; crop size only when cropping, scale only when resizing.

    Attention is drawn only for the decoder that has a place for it, class weights only for a loss that weighs pixels.
    """
    trial.suggest_categorical("backbone", BACKBONES)
    if trial.suggest_categorical("decoder", ("unet", "linknet", "fpn", "upernet")) == "unet":
        trial.suggest_categorical("attention", ("none", "scse"))
    if trial.suggest_categorical("loss", LOSSES) != "jaccard":
        trial.suggest_categorical("class_weights", ("none", "balanced"))
    trial.suggest_categorical("labels", ("full", "scored"))
    mode = trial.suggest_categorical("input_mode", ("crop", "resize", "full"))
    if mode == "crop":
        trial.suggest_categorical("crop_size", fitting_crop_sizes(trial))
    elif mode == "resize":
        trial.suggest_categorical("scale", (0.5, 0.75))
    trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True)
    trial.suggest_float("weight_decay", 1e-5, 1e-2, log=True)
    trial.suggest_categorical("batch_size", (4, 8, 16))
    trial.suggest_categorical("rate_schedule", ("plateau", "onecycle", "cosine"))
    trial.suggest_categorical("augmentation", ("flip", "light", "strong"))
    return {"optimizer": "adamw"}


def fitting_crop_sizes(trial: optuna.Trial) -> tuple[int, ...]:
    """Return the three largest crop sizes that fit into the images of the data."""
    smallest_side = trial.study.user_attrs.get("smallest_side", CROP_SIZES[0])
    return tuple(size for size in CROP_SIZES if size <= smallest_side)[:3] or (smallest_side,)
