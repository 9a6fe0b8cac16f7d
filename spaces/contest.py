"""`contest`: what the author of the contest's solution tried, to repeat that study with other means.

U-Nets over ResNets, three losses, images in crops, shrunk or whole, and either all classes or the scored ones.
"""

import optuna

from spaces.crops import fitting_crop_sizes


def contest(trial: optuna.Trial) -> dict[str, object]:
    """Draw encoder, loss, classes, input and rate; crop size only when cropping, scale only when resizing."""
    trial.suggest_categorical("backbone", ("resnet18", "resnet34", "resnet50", "wide_resnet50_2"))
    trial.suggest_categorical("loss", ("bce", "jaccard", "focal"))
    trial.suggest_categorical("labels", ("full", "scored"))
    mode = trial.suggest_categorical("input_mode", ("crop", "resize", "full"))
    if mode == "crop":
        trial.suggest_categorical("crop_size", fitting_crop_sizes(trial, (768, 512, 256)))
    elif mode == "resize":
        trial.suggest_categorical("scale", (0.5, 0.75))
    trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True)
    return {"decoder": "unet", "optimizer": "adam", "rate_schedule": "plateau"}
