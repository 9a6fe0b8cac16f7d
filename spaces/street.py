"""`street`: the space for street scenes on GPUs, as someone who trains such networks today would write it.

Each family of encoders stands with rates that it learns at: transformers and ConvNeXt were trained at smaller ones than
plain convolutions, and a foundation model is spoilt by larger ones.
"""

import optuna

from spaces.crops import fitting_crop_sizes, fitting_scales

_CONVOLUTIONS = (3e-4, 3e-3)
_TRANSFORMERS = (6e-5, 1e-3)
RATES = {
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
"""Lowest and highest of each backbone; a family has one of the size that trains within 12 GiB."""

LAYERED = (
    "convnext_tiny",
    "convnextv2_tiny",
    "pvt_v2_b2",
    "swin_tiny_patch4_window7_224",
    "vit_small_patch14_dinov2",
)
"""Trained by their authors with blocks left out at random; rates may fall from layer to layer, as timm knows them."""

DECODERS = ("upernet", "segformer", "unet", "fpn")
"""They fit every backbone with a pyramid; a plain transformer has `dpt`."""

LOSSES = ("ce", "ce+dice", "ce+jaccard", "ce+lovasz", "ce+boundary", "focal+jaccard")


def street(trial: optuna.Trial) -> dict[str, object]:
    """Draw network, loss, input and rates; what belongs to some networks or to crops alone is drawn with them alone."""
    return draw_street(trial, fitting_scales(trial))


def draw_street(trial: optuna.Trial, scales: tuple[float, ...]) -> dict[str, object]:
    """Draw as `street` does, with given scales to resize images by."""
    backbone = trial.suggest_categorical("backbone", tuple(RATES))
    constants: dict[str, object] = {"optimizer": "adamw", "decay_on": "kernels", "rate_schedule": "poly"}
    if backbone.startswith("vit"):
        constants["decoder"] = "dpt"
    elif trial.suggest_categorical("decoder", DECODERS) == "upernet":
        # The one of them that is taught with a second head where it comes from.
        trial.suggest_categorical("auxiliary_weight", (0.0, 0.4))
    trial.suggest_categorical("loss", LOSSES)
    trial.suggest_categorical("class_weights", ("none", "balanced"))
    trial.suggest_categorical("ohem_share", (1.0, 0.25))
    trial.suggest_categorical("labels", ("full", "scored"))
    _draw_input(trial, scales)
    low, high = RATES[backbone]
    trial.suggest_float("learning_rate", low, high, log=True)
    _draw_encoder(trial, backbone)
    trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True)
    trial.suggest_categorical("batch_size", (4, 8, 16))
    trial.suggest_categorical("augmentation", ("flip", "light", "strong"))
    trial.suggest_categorical("class_mix_probability", (0.0, 0.25))
    trial.suggest_categorical("ema_decay", (0.0, 0.99))
    return {**constants, "gradient_clip": 1.0}


def _draw_encoder(trial: optuna.Trial, backbone: str) -> None:
    # A rate that falls from layer to layer is lower than the decoder's already.
    if backbone in LAYERED:
        trial.suggest_float("encoder_layer_decay", 0.7, 0.95)
        trial.suggest_categorical("backbone_options", tuple(f"drop_path_rate={rate}" for rate in (0.0, 0.1, 0.2)))
    else:
        trial.suggest_float("encoder_rate_factor", 0.1, 1.0, log=True)


def _draw_input(trial: optuna.Trial, scales: tuple[float, ...]) -> None:
    mode = trial.suggest_categorical("input_mode", ("crop", "resize", "full"))
    if mode == "resize":
        trial.suggest_categorical("scale", scales)
    elif mode == "crop":
        trial.suggest_categorical("crop_size", fitting_crop_sizes(trial))
        trial.suggest_categorical("scale_jitter", (1.0, 1.5, 2.0))
        trial.suggest_categorical("max_class_share", (1.0, 0.75))
        trial.suggest_categorical("rare_crop_probability", (0.0, 0.5))
