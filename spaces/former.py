"""Former editions of spaces, for searches that began with them."""

import optuna

from spaces.crops import fitting_crop_sizes
from spaces.street import draw_street
from spaces.street_offline import draw_street_offline

_FORMER_SCALES = (0.5, 0.75)

_CONVOLUTIONS = (3e-4, 3e-3)
_TRANSFORMERS = (6e-5, 1e-3)
_SECOND_RATES = {
    "resnet50d": _CONVOLUTIONS,
    "tf_efficientnet_lite0": _CONVOLUTIONS,
    "tf_efficientnetv2_s": _CONVOLUTIONS,
    "convnext_tiny": _TRANSFORMERS,
    "convnextv2_tiny": _TRANSFORMERS,
    "mit_b2": _TRANSFORMERS,
    "pvt_v2_b2": _TRANSFORMERS,
    "swin_tiny_patch4_window7_224": _TRANSFORMERS,
    "vit_small_patch14_dinov2": (2e-5, 3e-4),
}
_SECOND_DECODERS = ("upernet", "segformer", "unet", "fpn")
_SECOND_LOSSES = ("ce", "ce+dice", "ce+jaccard", "ce+lovasz", "focal+jaccard")

_BACKBONES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "wide_resnet50_2",
    "tf_efficientnet_lite0",
    "tf_efficientnetv2_s",
)
_FIRST_SMALL_BACKBONES = (
    "mobilenetv4_conv_small",
    "mobilenetv4_conv_medium",
    "mobilenetv3_large_100",
    "tf_efficientnet_lite0",
    "resnet18d",
    "repvit_m0_9",
    "fastvit_t8",
    "efficientvit_b0",
    "mit_b0",
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


def second_street(trial: optuna.Trial) -> dict[str, object]:
    """Draw as `street` did in its second edition."""
    backbone = trial.suggest_categorical("backbone", tuple(_SECOND_RATES))
    constants: dict[str, object] = {"optimizer": "adamw", "decay_on": "kernels", "rate_schedule": "poly"}
    if backbone.startswith("vit"):
        constants["decoder"] = "dpt"
    else:
        trial.suggest_categorical("decoder", _SECOND_DECODERS)
    trial.suggest_categorical("loss", _SECOND_LOSSES)
    trial.suggest_categorical("class_weights", ("none", "balanced"))
    trial.suggest_categorical("ohem_share", (1.0, 0.25))
    trial.suggest_categorical("labels", ("full", "scored"))
    _draw_second_input(trial)
    low, high = _SECOND_RATES[backbone]
    trial.suggest_float("learning_rate", low, high, log=True)
    trial.suggest_float("encoder_rate_factor", 0.1, 1.0, log=True)
    trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True)
    trial.suggest_categorical("batch_size", (4, 8, 16))
    trial.suggest_categorical("augmentation", ("flip", "light", "strong"))
    trial.suggest_categorical("ema_decay", (0.0, 0.99))
    return {**constants, "gradient_clip": 1.0}


def _draw_second_input(trial: optuna.Trial) -> None:
    mode = trial.suggest_categorical("input_mode", ("crop", "resize", "full"))
    if mode == "resize":
        trial.suggest_categorical("scale", (0.5, 0.75))
    elif mode == "crop":
        trial.suggest_categorical("crop_size", fitting_crop_sizes(trial, _CROP_SIZES))
        trial.suggest_categorical("scale_jitter", (1.0, 1.5, 2.0))
        trial.suggest_categorical("max_class_share", (1.0, 0.75))
        trial.suggest_categorical("rare_crop_probability", (0.0, 0.5))


def first_street_small(trial: optuna.Trial) -> dict[str, object]:
    """Draw as `street_small` did in its first edition."""
    trial.suggest_categorical("backbone", _FIRST_SMALL_BACKBONES)
    trial.suggest_categorical("decoder", ("segformer", "fpn", "unet"))
    trial.suggest_categorical("decoder_channels", (64, 128))
    trial.suggest_categorical("loss", ("ce", "ce+dice", "ce+lovasz"))
    trial.suggest_categorical("class_weights", ("none", "balanced"))
    mode = trial.suggest_categorical("input_mode", ("crop", "resize", "full"))
    if mode == "crop":
        trial.suggest_categorical("crop_size", fitting_crop_sizes(trial, _CROP_SIZES))
        trial.suggest_categorical("scale_jitter", (1.0, 2.0))
        trial.suggest_categorical("rare_crop_probability", (0.0, 0.5))
    elif mode == "resize":
        trial.suggest_categorical("scale", (0.5, 0.75))
    trial.suggest_float("learning_rate", 3e-4, 5e-3, log=True)
    trial.suggest_categorical("batch_size", (8, 16))
    trial.suggest_categorical("augmentation", ("flip", "light", "strong"))
    return {"optimizer": "adamw", "weight_decay": 0.01, "rate_schedule": "onecycle", "gradient_clip": 1.0}


def third_street(trial: optuna.Trial) -> dict[str, object]:
    """Draw as `street` did in its third edition, which enlarged no image."""
    return draw_street(trial, _FORMER_SCALES)


def first_street_offline(trial: optuna.Trial) -> dict[str, object]:
    """Draw as `street_offline` did in its first edition, which enlarged no image."""
    return draw_street_offline(trial, _FORMER_SCALES)
