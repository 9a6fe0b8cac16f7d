"""What the drill's searches draw from: small networks whose epochs last some seconds on a processor core."""

import optuna

SMALL = {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16, "batch_size": 4}
CROPS = {"input_mode": "crop", "crop_size": 32, "crops_per_image": 24}


def draw(trial: optuna.Trial) -> dict[str, object]:
    """Draw the rate alone, so that trials differ and none takes long."""
    trial.suggest_float("learning_rate", 1e-3, 1e-2, log=True)
    return {**SMALL, **CROPS}


def draw_diverging(trial: optuna.Trial) -> dict[str, object]:
    """Draw a rate at which every other training diverges: its decay turns weights around and beyond all bounds."""
    rate = trial.suggest_categorical("learning_rate", (1e-3, 10.0))
    return {**SMALL, **CROPS, "optimizer": "sgd", "weight_decay": 1.0 if rate > 1 else 1e-4}
