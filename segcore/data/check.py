"""Counts what is in a data set, for a person: sizes, pixels per class, groups, neighbours, folds, and all problems.

Finding the problems lives in `dataset`; the page with pictures in `insight.explore_page`.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segcore.data.case import Case
from segcore.data.classes import VOID, VOID_NAME, ClassTable, count_indices
from segcore.data.dataset import decode_case, scan_dataset
from segcore.data.decoding import share_memory
from segcore.data.folds import Leakage, make_folds, measure_leakage
from segcore.data.split import FoldSplit
from segcore.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What is in a data-set folder.

    Args:
        classes: its class table.
        cases: number of usable cases.
        sizes: cases by (height, width).
        strata: cases by (group, condition).
        pixels_of_class: pixels by class name; void last.
        images_of_class: images by class name in which the class occurs.
        twins: groups of cases with the same image, by name.
        split: the folds; None when they cannot be made.
        leakage: what the folds divide; None with them.
        problems: everything that is wrong.
        images: folders of its images.
    """

    classes: ClassTable
    cases: int
    sizes: dict[tuple[int, int], int]
    strata: dict[tuple[str, str], int]
    pixels_of_class: dict[str, int]
    images_of_class: dict[str, int]
    twins: tuple[tuple[str, ...], ...]
    split: FoldSplit | None
    leakage: Leakage | None
    problems: tuple[str, ...]
    images: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    size: tuple[int, int]
    pixels_256: npt.NDArray[np.int64]
    digest: bytes


def inspect_dataset(folder: Path, folds: int, progress: Callable[[int, int], None], layout: str = "") -> DataReport:
    """Decode a whole data set and report what is there and what is wrong.

    Args:
        folder: the data-set folder.
        folds: number of folds to try.
        progress: called with (cases done, cases in all).
        layout: a name in `sources.layouts`; empty: recognised.

    Raises:
        DataError: when there is no data set at all.
    """
    dataset, problems = scan_dataset(folder, layout)
    counted: dict[str, _Counted] = {}

    def count(case: Case) -> _Counted | tuple[str, ...]:
        try:
            with share_memory(case.image, case.mask):
                decoded = decode_case(case)
                return _Counted(
                    size=(decoded.mask_HW.shape[0], decoded.mask_HW.shape[1]),
                    pixels_256=count_indices(decoded.mask_HW),
                    digest=hashlib.blake2b(np.ascontiguousarray(decoded.image_HW3).data, digest_size=16).digest(),
                )
        except DataError as error:
            return error.problems

    with ThreadPoolExecutor() as pool:
        results = zip(dataset.cases, pool.map(count, dataset.cases), strict=True)
        for done, (case, result) in enumerate(results, start=1):
            if isinstance(result, _Counted):
                counted[case.name] = result
            else:
                problems += result
            progress(done, len(dataset.cases))
    usable = [case for case in dataset.cases if case.name in counted]
    split, problem = _try_folds(usable, folds)
    return DataReport(
        classes=dataset.classes,
        cases=len(usable),
        sizes=dict(Counter(result.size for result in counted.values()).most_common()),
        strata=dict(sorted(Counter((case.group, case.condition) for case in usable).items())),
        pixels_of_class=_count_pixels(counted, dataset.classes),
        images_of_class=_count_images(counted, dataset.classes),
        twins=_find_twins(counted),
        split=split,
        leakage=measure_leakage(usable, split) if split is not None else None,
        problems=tuple(sorted([*problems, *problem])),
        images=dataset.images,
    )


def _try_folds(cases: list[Case], folds: int) -> tuple[FoldSplit | None, list[str]]:
    if all(case.pseudo for case in cases):
        # Pseudo labels are trained on beside other data, and never divided.
        return None, []
    try:
        return make_folds(cases, folds), []
    except (ConfigError, DataError) as error:
        return None, [str(error)]


def _count_pixels(counted: dict[str, _Counted], classes: ClassTable) -> dict[str, int]:
    total_256 = sum((result.pixels_256 for result in counted.values()), start=np.zeros(256, np.int64))
    pixels = {name: int(total_256[index]) for index, name in enumerate(classes.names)}
    return {**pixels, VOID_NAME: int(total_256[VOID])}


def _count_images(counted: dict[str, _Counted], classes: ClassTable) -> dict[str, int]:
    images_256 = sum(
        ((result.pixels_256 > 0).astype(np.int64) for result in counted.values()), start=np.zeros(256, np.int64)
    )
    images = {name: int(images_256[index]) for index, name in enumerate(classes.names)}
    return {**images, VOID_NAME: int(images_256[VOID])}


def _find_twins(counted: dict[str, _Counted]) -> tuple[tuple[str, ...], ...]:
    names: dict[bytes, list[str]] = defaultdict(list)
    for name, result in counted.items():
        names[result.digest].append(name)
    return tuple(tuple(group) for group in names.values() if len(group) > 1)
