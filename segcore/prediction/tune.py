"""Which way of predicting pays: every way is scored on images that its networks never saw, and timed.

Who may predict which image is decided in `held_out`; files of the result are written in `tune_report`.
Ways are tried in stages, so that mirroring and further sizes are only tried on modes that earned it.
"""

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from segcore.config import TrainConfig
from segcore.data.caching.cache import Progress
from segcore.data.case import Case
from segcore.data.classes import ClassTable
from segcore.data.dataset import DecodedCase, decode_case
from segcore.errors import ConfigError, DataError, DeviceMemoryError
from segcore.prediction.ensemble import Ensemble
from segcore.prediction.held_out import HeldOutPlan, Origin, choose_members, spread
from segcore.prediction.options import PredictOptions, PredictPlan, plan_prediction
from segcore.scoring.boundary import count_boundaries
from segcore.scoring.metrics import ImageScore, count_confusion, divide_metric, score_image, summarise_scores
from segcore.scoring.objective import BOUNDARY_IOU, FIRST_METRIC, learns_every_class

RESIZE_SCALES: Final = (0.5, 0.75)
SCALES: Final = (0.75, 1.0, 1.25)
SCALED_FINALISTS: Final = 2
"""Further sizes cost three times the time, so only so many of the best ways are tried with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutImage:
    """An image and the networks that never saw it.

    Args:
        case: the image with its truth.
        members: positions of those networks in the ensemble.
    """

    case: Case
    members: tuple[int, ...]


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


def choose_images(cases: Sequence[Case], plan: HeldOutPlan, images: int) -> tuple[HeldOutImage, ...]:
    """Return evenly spaced images of each fold with the networks that left them out.

    Args:
        cases: the labelled images.
        plan: who left out which.
        images: at most so many of each fold, at least 1.

    Raises:
        ConfigError: when fewer than one image is asked for.
        DataError: when the networks trained on every image, or nobody knows.
    """
    if images < 1:
        raise ConfigError(f"images={images}: at least 1 image of each fold must be predicted; 50 is a good choice.")
    of_members: dict[tuple[int, ...], list[Case]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.order):
        assignment = plan.of_case[case.name]
        if assignment.origin is Origin.HELD_OUT:
            of_members[assignment.members].append(case)
    if not of_members:
        why = "the model does not say which images it left out" if not plan.source else "the model trained on every one"
        raise DataError(
            f"None of the {len(cases)} images can be scored: {why}. Give the data set that the model was trained on; "
            "a model of an older version must be written anew by 'python -m segcore train' or 'python -m search "
            "retrain'."
        )
    return tuple(
        HeldOutImage(case=case, members=members)
        for members, held_out in sorted(of_members.items())
        for case in spread(held_out, images)
    )


def require_known_names(cases: Sequence[Case], known: Collection[str]) -> tuple[Case, ...]:
    """Return the cases that had a part in the model's folds, whose names are known.

    An image that had none may be new, but it may also be one that the model trained on under another name.

    Raises:
        DataError: when there is none.
    """
    found = tuple(case for case in cases if case.name in known)
    if not found:
        raise DataError(
            f"None of the {len(cases)} images has a name that the model's folds.json knows ({cases[0].name!r} is not "
            f"among {len(known)}, such as {next(iter(known), '')!r}); give the data set that the model was "
            "trained on."
        )
    return found


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


def measure_options(
    ensemble: Ensemble,
    classes: ClassTable,
    images: Sequence[HeldOutImage],
    proposals: Sequence[PredictOptions],
    progress: Progress,
    members: int | None = None,
    *,
    metric: str = FIRST_METRIC,
) -> list[Measured]:
    """Score and time ways of predicting; one that needs too much memory is left out.

    Args:
        ensemble: the networks.
        classes: the data's class table, whose colours and scored classes count.
        images: the images with the networks that may predict them.
        proposals: the ways.
        progress: told how many predictions are done.
        members: networks that predict each image together, at most those that may; None: all that may.
        metric: what decides, see `segcore.scoring.objective`.
    """
    if not proposals:
        return []
    found = _Findings(classes, metric)
    done, total = 0, len(images) * len(proposals)
    for position, image in enumerate(images):
        decoded = decode_case(image.case)
        chosen = choose_members(ensemble, image.members[:members])
        for way, options in enumerate(proposals):
            found.add(way, chosen.with_options(options.values()), image, decoded, first=position == 0)
            done += 1
            progress(done, total)
    every_class = learns_every_class(ensemble.config.labels, classes)
    counts = [len(image.members[:members]) for image in images]
    size = len(ensemble.members) * min(counts) / min(len(image.members) for image in images)
    return [
        found.summarise(way, options, min(counts), size, every_class=every_class)
        for way, options in enumerate(proposals)
        if way not in found.failed
    ]


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


class _Findings:
    """Scores and times of several ways while images are predicted."""

    def __init__(self, classes: ClassTable, metric: str) -> None:
        self.classes = classes
        self.metric = metric
        self.failed: set[int] = set()
        self._scores: dict[int, list[ImageScore]] = defaultdict(list)
        self._milliseconds: dict[int, dict[tuple[int, ...], list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, way: int, ensemble: Ensemble, image: HeldOutImage, decoded: DecodedCase, *, first: bool) -> None:
        if way in self.failed:
            return
        try:
            if first:
                # The first prediction of a shape also pays for memory and the choice of kernels.
                ensemble.predict(decoded.image_HW3)
            started = time.perf_counter()
            prediction_HW = ensemble.predict(decoded.image_HW3)
            seconds = time.perf_counter() - started
        except DeviceMemoryError:
            self.failed.add(way)
            return
        self._milliseconds[way][image.members].append(1000 * seconds / len(ensemble.members))
        self._scores[way].append(_score(image.case, prediction_HW, decoded.mask_HW, self.classes, self.metric))

    def summarise(self, way: int, options: PredictOptions, members: int, size: float, *, every_class: bool) -> Measured:
        scores = self._scores[way]
        metrics = summarise_scores(scores, self.classes, every_class=every_class)
        medians = [statistics.median(values) for values in self._milliseconds[way].values()]
        return Measured(
            options=options,
            members=members,
            score=metrics.get(self.metric, math.nan),
            image_scores=divide_metric(scores, self.classes, self.metric),
            metrics=metrics,
            milliseconds=size * statistics.fmean(medians),
        )


def _score(
    case: Case,
    prediction_HW: npt.NDArray[np.uint8],
    truth_HW: npt.NDArray[np.uint8],
    classes: ClassTable,
    metric: str,
) -> ImageScore:
    counts = count_confusion(torch.from_numpy(truth_HW), torch.from_numpy(prediction_HW), len(classes))
    boundary_C2 = count_boundaries(truth_HW, prediction_HW, len(classes)) if metric == BOUNDARY_IOU else None
    return score_image(case.name, case.condition, counts.numpy(), classes, boundary_C2)


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
