"""`demo`: a space of small, quick trainings for a CPU; every backbone has ImageNet weights without a network."""

import optuna


def demo(trial: optuna.Trial) -> dict[str, object]:
    """Draw backbone, loss, input mode and rate; crop size only when cropping, scale only when resizing."""
    smallest_side = trial.study.user_attrs.get("smallest_side", 128)
    trial.suggest_categorical("backbone", ("tf_efficientnet_lite0", "tf_efficientnet_lite1"))
    trial.suggest_categorical("loss", ("ce", "ce+jaccard", "focal+jaccard"))
    mode = trial.suggest_categorical("input_mode", ("crop", "resize", "full"))
    if mode == "crop":
        sizes = tuple(size for size in (64, 96, 128) if size <= smallest_side) or (smallest_side,)
        trial.suggest_categorical("crop_size", sizes)
    elif mode == "resize":
        trial.suggest_categorical("scale", (0.5, 0.75))
    trial.suggest_float("learning_rate", 1e-3, 6e-3, log=True)
    return {"decoder_channels": 64, "batch_size": 4, "rate_schedule": "onecycle"}
