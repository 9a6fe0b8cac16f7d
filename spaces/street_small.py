"""`street_small`: networks that answer in real time; with `--objective NAME,latency_ms`, or `--max-latency-ms`."""

import optuna

from spaces.crops import fitting_crop_sizes

BACKBONES = (
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
DECODERS = ("segformer", "fpn", "unet")


def street_small(trial: optuna.Trial) -> dict[str, object]:
    """Draw a small network, its width, and how large it sees an image: all three decide how long it takes."""
    trial.suggest_categorical("backbone", BACKBONES)
    trial.suggest_categorical("decoder", DECODERS)
    trial.suggest_categorical("decoder_channels", (64, 128))
    trial.suggest_categorical("loss", ("ce", "ce+dice", "ce+lovasz", "ce+boundary"))
    trial.suggest_categorical("ohem_share", (1.0, 0.25))
    trial.suggest_categorical("class_weights", ("none", "balanced"))
    mode = trial.suggest_categorical("input_mode", ("crop", "resize", "full"))
    if mode == "crop":
        trial.suggest_categorical("crop_size", fitting_crop_sizes(trial))
        trial.suggest_categorical("scale_jitter", (1.0, 2.0))
        trial.suggest_categorical("rare_crop_probability", (0.0, 0.5))
    elif mode == "resize":
        trial.suggest_categorical("scale", (0.5, 0.75))
    trial.suggest_float("learning_rate", 3e-4, 5e-3, log=True)
    trial.suggest_categorical("batch_size", (8, 16))
    trial.suggest_categorical("augmentation", ("flip", "light", "strong"))
    return {"optimizer": "adamw", "weight_decay": 0.01, "rate_schedule": "onecycle", "gradient_clip": 1.0}
