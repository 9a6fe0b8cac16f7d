"""Made-up searches shaped like those for segmentation: conditional input modes, cost by pixels, failing regions.

A family is a landscape drawn from its own seed. What it has that recorded tables lack: parameters that exist only
beside others, epochs that cost what their pixels cost, fast starters that end lower, noise of the fold, trainings that
diverge or do not fit into memory.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np
import optuna

from benchmarks.quality.drawing import draw_params
from benchmarks.quality.tasks import Curve, Params, Task

_EPOCHS = 27
_DRAWS = 4000
_CLIMBS = 1500
_BACKBONES = {
    "small": (1.0, 0.00),
    "medium": (1.8, 0.03),
    "wide": (3.5, 0.05),
    "deep": (2.6, 0.055),
    "light": (0.7, -0.03),
}
_PIXELS = {"crop": 0.5, "full": 1.0}
USUAL: Final[Mapping[str, Any]] = {
    **{"backbone": "medium", "decoder": "fpn", "loss": "ce", "labels": "full", "input_mode": "full"},
    **{"learning_rate": 1e-3, "weight_decay": 1e-3, "batch_size": 8, "schedule": "cosine", "augmentation": "light"},
    **{"attention": "none", "crop_size": 512, "scale": 0.75},
}
"""What is not drawn in a landscape of few parameters, and what someone would try first on one of all."""
_OF_3: Final = ("learning_rate", "backbone", "loss")
_OF_5: Final = ("learning_rate", "augmentation", "input_mode", "crop_size", "scale")
_OF_6: Final = (*_OF_3, "weight_decay", "augmentation", "batch_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How hard a made-up landscape is.

    Args:
        name: its name.
        seed: draws the landscape.
        crossing: how much of the final score fast starters lose.
        fold_noise: standard deviation of a trial's constant error.
        epoch_noise: standard deviation of an epoch's error.
        diverging_rate: learning rate at which half of the trainings diverge.
        memory: what fits, as backbone cost x pixels x batch size.
        drawn: the only parameters that are drawn; empty: all thirteen.
    """

    name: str
    seed: int
    crossing: float
    fold_noise: float
    epoch_noise: float
    diverging_rate: float
    memory: float
    drawn: tuple[str, ...] = ()


FAMILIES = (
    Family(name="plain", seed=1, crossing=0.3, fold_noise=0.003, epoch_noise=0.004, diverging_rate=2e-2, memory=60),
    Family(name="crossing", seed=2, crossing=1.0, fold_noise=0.004, epoch_noise=0.006, diverging_rate=2e-2, memory=60),
    Family(name="noisy", seed=3, crossing=0.5, fold_noise=0.015, epoch_noise=0.015, diverging_rate=2e-2, memory=60),
    Family(name="failing", seed=4, crossing=0.5, fold_noise=0.004, epoch_noise=0.006, diverging_rate=3e-3, memory=14),
    Family(name="plain2", seed=5, crossing=0.2, fold_noise=0.004, epoch_noise=0.004, diverging_rate=1e-2, memory=40),
    Family(name="crossing2", seed=6, crossing=0.8, fold_noise=0.006, epoch_noise=0.006, diverging_rate=4e-2, memory=60),
    Family(name="crossing3", seed=7, crossing=0.9, fold_noise=0.003, epoch_noise=0.008, diverging_rate=2e-2, memory=40),
    Family(name="noisy2", seed=8, crossing=0.4, fold_noise=0.012, epoch_noise=0.012, diverging_rate=2e-2, memory=60),
    Family(name="failing2", seed=9, crossing=0.6, fold_noise=0.005, epoch_noise=0.005, diverging_rate=4e-3, memory=18),
)
NARROW = tuple(
    replace(family, name=f"{family.name}-of{len(drawn)}", drawn=drawn)
    for family in FAMILIES
    for drawn in (_OF_3, _OF_5, _OF_6)
)
"""The same landscapes where a space has few parameters; in no part of the split. When a proposal of a crowded space is
judged was designed on three and six of the first four families, and tried on the others."""


class Landscape:
    """The task of a family."""

    def __init__(self, family: Family) -> None:
        self.name = f"synthetic/{family.name}"
        self.epochs = _EPOCHS
        self._family = family
        random = np.random.default_rng(family.seed)
        self._effects = {name: random.normal(0, 0.02, 5) for name in ("loss", "decoder", "labels", "schedule", "mode")}
        self._pairs_35 = random.normal(0, 0.012, (3, 5))
        self._log_rate = random.uniform(-3.6, -2.8)
        self._log_decay = random.uniform(-4.5, -2.5)
        draws = [draw_params(self.space, random, {}) for _ in range(_DRAWS)]
        curves = [self._train(params, 0.0, np.zeros(_EPOCHS)) for params in draws]
        finals = np.array([curve.final for curve in curves])
        self.middle, self.worst = float(np.nanmedian(finals)), float(np.nanmin(finals))
        self.whole_seconds = float(np.median([curve.seconds.sum() for curve in curves]))
        self.best = self._climb(draws[int(np.nanargmax(finals))], float(np.nanmax(finals)), random)

    def space(self, trial: optuna.Trial) -> None:
        """Draw a configuration; crop size only when cropping, scale only when resizing, attention only in a U-Net."""
        if self._family.drawn:
            trial = cast(optuna.Trial, _NarrowTrial(trial, self._family.drawn))
        trial.suggest_categorical("backbone", tuple(_BACKBONES))
        if trial.suggest_categorical("decoder", ("unet", "linknet", "fpn")) == "unet":
            trial.suggest_categorical("attention", ("none", "scse"))
        trial.suggest_categorical("loss", ("ce", "jaccard", "focal", "ce+jaccard", "focal+jaccard"))
        trial.suggest_categorical("labels", ("full", "scored"))
        mode = trial.suggest_categorical("input_mode", ("crop", "resize", "full"))
        if mode == "crop":
            trial.suggest_categorical("crop_size", (128, 256, 512))
        elif mode == "resize":
            trial.suggest_categorical("scale", (0.5, 0.75))
        trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
        trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True)
        trial.suggest_categorical("batch_size", (4, 8, 16))
        trial.suggest_categorical("schedule", ("plateau", "onecycle", "cosine"))
        trial.suggest_categorical("augmentation", ("flip", "light", "strong"))

    def train(self, params: Params, seed: int) -> Curve:
        """Return the curve of a configuration under a seed's noise."""
        text = repr((sorted(params.items()), seed, self.name))
        random = np.random.default_rng(zlib.crc32(text.encode()))
        family = self._family
        fold_error, epoch_errors = random.normal(0, family.fold_noise), random.normal(0, family.epoch_noise, _EPOCHS)
        diverges = random.random() < 1 / (1 + (family.diverging_rate / params["learning_rate"]) ** 4)
        curve = self._train(params, fold_error, epoch_errors)
        if diverges:
            curve.scores[int(random.integers(0, 4)) :] = np.nan
        return curve

    def _train(self, params: Params, fold_error: float, epoch_errors: "np.ndarray[Any, Any]") -> Curve:
        cost, _ = _BACKBONES[params["backbone"]]
        pixels = params.get("scale", 1.0) ** 2
        sample_pixels = (params.get("crop_size", 512) / 512) ** 2 * _PIXELS.get(params["input_mode"], pixels)
        # Epochs see the same pixels when cropping: an image gives as many crops as cover it.
        seconds = np.full(_EPOCHS, 10 * cost * pixels * (1 + 2 / params["batch_size"]))
        out_of_memory = cost * sample_pixels * params["batch_size"] > self._family.memory
        if params["learning_rate"] > 3 * self._family.diverging_rate or out_of_memory:
            scores, final = np.full(_EPOCHS, np.nan), float("nan")
        else:
            limit, pace = self._limit(params), self._pace(params)
            progress = np.arange(1, _EPOCHS + 1) / _EPOCHS
            shape = 1 - np.exp(-pace * progress)
            late = {"plateau": 0.0, "onecycle": 0.02, "cosine": 0.015}[params["schedule"]] * (progress**6 - 0.6)
            clean = limit * shape + late
            scores, final = clean + fold_error + epoch_errors, float(clean[-1])
        return Curve(scores=scores, seconds=seconds, final=final, out_of_memory=bool(out_of_memory))

    def _limit(self, params: Params) -> float:
        loss = ("ce", "jaccard", "focal", "ce+jaccard", "focal+jaccard").index(params["loss"])
        mode = ("crop", "resize", "full").index(params["input_mode"])
        schedule = ("plateau", "onecycle", "cosine").index(params["schedule"])
        decoder = ("unet", "linknet", "fpn").index(params["decoder"])
        rate = np.log10(params["learning_rate"]) - self._log_rate - 0.25 * np.log2(params["batch_size"] / 8)
        decay = np.log10(params["weight_decay"]) - self._log_decay
        effects = self._effects
        limit = 0.62 + _BACKBONES[params["backbone"]][1] - 0.06 * rate**2 / (1 + 0.3 * abs(rate)) - 0.006 * decay**2
        limit += effects["loss"][loss] + effects["mode"][mode] + effects["schedule"][schedule]
        limit += (
            effects["decoder"][decoder]
            + effects["labels"][int(params["labels"] == "full")]
            + self._pairs_35[mode, loss]
        )
        limit += 0.012 * (params.get("attention") == "scse")
        limit += {128: -0.05, 256: -0.015, 512: 0.0}.get(params.get("crop_size", 0), 0.0)
        limit += {0.5: -0.03, 0.75: 0.0}.get(params.get("scale", 0), 0.0)
        limit += self._family.crossing * {"flip": -0.03, "light": 0.0, "strong": 0.02}[params["augmentation"]]
        return float(max(limit, 0.05))

    def _pace(self, params: Params) -> float:
        rate = np.log10(params["learning_rate"]) - self._log_rate
        slow = {"flip": 0.0, "light": 0.3, "strong": 0.7}[params["augmentation"]]
        slow += 0.5 * (params["backbone"] in ("wide", "deep"))
        return float(9 * np.exp(0.4 * np.clip(rate, -3, 1) - self._family.crossing * slow))

    def _climb(self, params: Params, best: float, random: np.random.Generator) -> float:
        for _ in range(_CLIMBS):
            kept = _redraw(params, random, 1 if random.random() < 0.7 else 2)
            other = draw_params(self.space, random, kept)
            final = self._train(other, 0.0, np.zeros(_EPOCHS)).final
            if final > best:
                params, best = other, final
        return best


class _NarrowTrial:
    """Stands for a trial that draws some parameters alone, and has one choice of each other."""

    def __init__(self, trial: optuna.Trial, drawn: Sequence[str]) -> None:
        self._trial = trial
        self._drawn = drawn

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Draw one of the choices, if it is to be drawn."""
        return self._trial.suggest_categorical(name, choices if name in self._drawn else (USUAL[name],))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Draw a number, if it is to be drawn."""
        if name in self._drawn:
            return self._trial.suggest_float(name, low, high, log=log)
        return float(self._trial.suggest_categorical(name, (USUAL[name],)))


def load_synthetic() -> list[Task]:
    """Build the task of every family."""
    return [Landscape(family) for family in (*FAMILIES, *NARROW)]


def _redraw(params: Params, random: np.random.Generator, changed: int) -> Params:
    """Return the parameters without `changed` of them, which are drawn again then."""
    dropped = {str(name) for name in random.permutation(list(params))[:changed]}
    return {name: value for name, value in params.items() if name not in dropped}
