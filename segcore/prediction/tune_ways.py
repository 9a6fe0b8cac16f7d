"""Which ways of predicting are tried, stage by stage, and which of those that were measured is chosen.

Mirroring and further sizes are only tried on modes that earned it. How a way is measured lives in `tune`.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from segcore.config import TrainConfig
from segcore.errors import ConfigError, DataError
from segcore.prediction.options import PredictOptions, PredictPlan, plan_prediction

RESIZE_SCALES: Final = (0.5, 0.75)
SCALES: Final = (0.75, 1.0, 1.25)
SCALED_FINALISTS: Final = 2
"""Further sizes cost three times the time, so only so many of the best ways are tried with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one way of predicting reached.

    Args:
        options: the way.
        members: networks that predicted each image together.
        score: over all images in the metric that decides; NaN when nothing was there to count.
        image_scores: by image numbers whose mean is the score, see `divide_metric`.
        metrics: all that was measured, see `metrics`.
        milliseconds: time per image of the whole ensemble, which is its networks one after the other.
    """

    options: PredictOptions
    members: int
    score: float
    image_scores: dict[str, float]
    metrics: dict[str, float]
    milliseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """How much better one way is than another on the same images.

    Args:
        score: mean difference.
        error: its standard error, as if images were independent; neighbouring frames are not, so it is rather larger.
    """

    score: float
    error: float


def propose_modes(now: PredictOptions, configs: Sequence[TrainConfig], largest_side: int) -> list[PredictOptions]:
    """Return the modes to try, first the way that the model predicts now.

    Args:
        now: how the model predicts now.
        configs: how its networks were trained.
        largest_side: longest side of the images, pixels; tiles of that size would be the whole image.
    """
    trained = {config.scale for config in configs if config.input_mode == "resize"}
    proposals = [_name_mode(now, configs), PredictOptions(mode="full")]
    proposals += [PredictOptions(mode="resize", scale=scale) for scale in sorted({*RESIZE_SCALES, *trained})]
    for mode in ("tiles", "overlap"):
        tiled = PredictOptions(mode=mode)
        tilings = [plan_prediction(tiled, config).tiling for config in configs]
        sizes = sorted({tiling.size for tiling in tilings if tiling is not None})
        proposals += [tiled.replaced({"tile_size": size}) for size in sizes if size < largest_side]
    return _drop_equal(proposals, configs)


def propose_flips(
    measured: Sequence[Measured], configs: Sequence[TrainConfig], max_milliseconds: float | None = None
) -> list[PredictOptions]:
    """Return the ways that are worth their time so far, with the mirrored image.

    Args:
        measured: the ways so far.
        configs: how the networks were trained.
        max_milliseconds: longest time per image of the whole ensemble; what would take longer is not tried.
    """
    finalists = [row for row in find_pareto(measured) if _fits(2 * row.milliseconds, max_milliseconds)]
    return _drop_known([row.options.replaced({"flip": True}) for row in finalists], measured, configs)


def propose_scales(
    measured: Sequence[Measured], configs: Sequence[TrainConfig], max_milliseconds: float | None = None
) -> list[PredictOptions]:
    """Return the best ways so far, averaged over further sizes; arguments as of `propose_flips`."""
    cost = sum(scale**2 for scale in SCALES)
    finalists = [row for row in measured if _fits(cost * row.milliseconds, max_milliseconds)]
    finalists = sorted(finalists, key=lambda row: -row.score)[:SCALED_FINALISTS]
    return _drop_known([row.options.replaced({"scales": SCALES}) for row in finalists], measured, configs)


def find_pareto(measured: Sequence[Measured]) -> list[Measured]:
    """Return the ways that no other way beats in score without taking longer, the fastest first."""
    front: list[Measured] = []
    for row in sorted(measured, key=lambda row: (row.milliseconds, -row.score)):
        if not front or row.score > front[-1].score:
            front.append(row)
    return front


def choose_best(measured: Sequence[Measured], max_milliseconds: float | None = None) -> Measured:
    """Return the way with the best score, of equal ones the fastest.

    Args:
        measured: the ways.
        max_milliseconds: longest time per image of the whole ensemble.

    Raises:
        ConfigError: when every way takes longer, or none was measured.
        DataError: when the images have nothing to count, so that nothing tells the ways apart.
    """
    if not measured:
        raise ConfigError("No way of predicting fits into the memory; use --device cpu.")
    if any(row.score != row.score for row in measured):
        raise DataError(
            "None of the images that were predicted has a pixel of a class that the objective counts, so no way can be "
            "called better; give a data set that has some, or more --images."
        )
    allowed = [row for row in measured if _fits(row.milliseconds, max_milliseconds)]
    if not allowed:
        fastest = min(row.milliseconds for row in measured)
        raise ConfigError(
            f"max_ms={max_milliseconds:g}: the fastest way takes {fastest:.1f} ms per image with all networks; "
            "allow more, or use a faster machine."
        )
    return max(allowed, key=lambda row: (row.score, -row.milliseconds))


def find_current(measured: Sequence[Measured], now: PredictOptions, configs: Sequence[TrainConfig]) -> Measured | None:
    """Return the way that means the same as the model's own options; None when it was left out.

    Args:
        measured: the ways.
        now: how the model predicts now.
        configs: how its networks were trained.
    """
    plans = _plan(now, configs)
    return next((row for row in measured if _plan(row.options, configs) == plans), None)


def measure_gain(row: Measured, base: Measured) -> Gain:
    """Return how much better a way is than another, image by image."""
    return pair_images(row.image_scores, base.image_scores)


def pair_images(scores: Mapping[str, float], base: Mapping[str, float]) -> Gain:
    """Return how much larger numbers of images are than others of the same images."""
    differences = [scores[name] - base[name] for name in sorted(scores.keys() & base.keys())]
    error = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else float("nan")
    return Gain(score=statistics.fmean(differences) if differences else float("nan"), error=error)


def _fits(milliseconds: float, max_milliseconds: float | None) -> bool:
    return max_milliseconds is None or milliseconds <= max_milliseconds


def _name_mode(options: PredictOptions, configs: Sequence[TrainConfig]) -> PredictOptions:
    # What is different things to networks of different trainings has no other name.
    named = [_name_mode_of(options, config) for config in configs]
    return named[0] if options.mode == "auto" and all(each == named[0] for each in named) else options


def _name_mode_of(options: PredictOptions, config: TrainConfig) -> PredictOptions:
    resized = config.input_mode == "resize"
    return options.replaced({"mode": "resize", "scale": options.scale or config.scale} if resized else {"mode": "full"})


def _drop_known(
    proposals: Sequence[PredictOptions], measured: Sequence[Measured], configs: Sequence[TrainConfig]
) -> list[PredictOptions]:
    known = [_plan(row.options, configs) for row in measured]
    return [options for options in _drop_equal(proposals, configs) if _plan(options, configs) not in known]


def _drop_equal(proposals: Sequence[PredictOptions], configs: Sequence[TrainConfig]) -> list[PredictOptions]:
    # Different options may mean the same for a network, such as auto and full.
    of_plan: dict[tuple[PredictPlan, ...], PredictOptions] = {}
    for options in proposals:
        of_plan.setdefault(_plan(options, configs), options)
    return list(of_plan.values())


def _plan(options: PredictOptions, configs: Sequence[TrainConfig]) -> tuple[PredictPlan, ...]:
    return tuple(plan_prediction(options, config) for config in configs)
