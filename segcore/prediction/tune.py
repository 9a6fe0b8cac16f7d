"""Which way of predicting pays: every way is scored on images that its networks never saw, and timed.

Who may predict which image is decided in `held_out`, which ways are tried and which is chosen in `tune_ways`; files
of the result are written in `tune_report`.
"""

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from segcore.data.caching.cache import Progress
from segcore.data.case import Case
from segcore.data.classes import ClassTable
from segcore.data.dataset import DecodedCase, decode_case
from segcore.errors import ConfigError, DataError, DeviceMemoryError
from segcore.prediction.ensemble import Ensemble
from segcore.prediction.held_out import HeldOutPlan, Origin, choose_members, spread
from segcore.prediction.options import PredictOptions
from segcore.prediction.tune_ways import Measured
from segcore.scoring.boundary import count_boundaries
from segcore.scoring.metrics import Tally, count_confusion, divide_metric, score_image, summarise_scores, tally_score
from segcore.scoring.objective import BOUNDARY_IOU, FIRST_METRIC, learns_every_class


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutImage:
    """An image and the networks that never saw it.

    Args:
        case: the image with its truth.
        members: positions of those networks in the ensemble.
    """

    case: Case
    members: tuple[int, ...]


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


class _Findings:
    """Scores and times of several ways while images are predicted."""

    def __init__(self, classes: ClassTable, metric: str) -> None:
        self.classes = classes
        self.metric = metric
        self.failed: set[int] = set()
        self._scores: dict[int, list[Tally]] = defaultdict(list)
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
) -> Tally:
    counts = count_confusion(torch.from_numpy(truth_HW), torch.from_numpy(prediction_HW), len(classes))
    boundary_C2 = count_boundaries(truth_HW, prediction_HW, len(classes)) if metric == BOUNDARY_IOU else None
    return tally_score(score_image(case.name, case.condition, counts.numpy(), classes, boundary_C2))
