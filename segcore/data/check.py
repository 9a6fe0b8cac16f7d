"""Decodes and counts what is in a data set, for a person: sizes, pixels per class, groups, folds, and all problems.

Finding what cannot be decoded lives in `dataset`, what cannot be trained in `gate`; pages with pictures in `insight`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.data.caching.cache import checksum
from segcore.data.case import Case, DataSet
from segcore.data.classes import VOID, VOID_NAME, ClassTable, count_indices
from segcore.data.content import Content
from segcore.data.dataset import decode_case, scan_dataset
from segcore.data.decoding import read_orientation, share_memory
from segcore.data.dividing.division import Division
from segcore.data.dividing.likeness import SIDE, identify_mask, look_at
from segcore.data.gate import Findings, judge_data
from segcore.errors import DataError

_ON_ITS_SIDE: Final = 5
"""Least EXIF orientation of a picture that lies on its side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What is in a data-set folder.

    Args:
        dataset: what was understood of it.
        cases: its usable cases.
        pixels_NC: pixels of each class in each of them, in index order, then of void.
        sizes: cases by (height, width).
        strata: cases by (group, condition).
        codes_of_class: what the masks' pixels are, by class name; void last.
        pixels_of_class: pixels by class name; void last.
        images_of_class: images by class name in which the class occurs.
        turned: names of cases whose image its EXIF orientation turns, and not the mask, whose sides do not tell.
        findings: what the gate says of it.
        problems: everything that is wrong.
    """

    dataset: DataSet
    cases: tuple[Case, ...]
    pixels_NC: npt.NDArray[np.int64]
    sizes: dict[tuple[int, int], int]
    strata: dict[tuple[str, str], int]
    codes_of_class: dict[str, tuple[str, ...]]
    pixels_of_class: dict[str, int]
    images_of_class: dict[str, int]
    turned: tuple[str, ...]
    findings: Findings
    problems: tuple[str, ...]

    @property
    def classes(self) -> ClassTable:
        """The class table."""
        return self.dataset.classes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    size: tuple[int, int]
    pixels_256: npt.NDArray[np.int64]
    look_HW: npt.NDArray[np.uint8]
    mask_crc: int
    turned: bool


def inspect_dataset(
    folder: Path, division: Division, progress: Callable[[int, int], None], layout: str = ""
) -> DataReport:
    """Decode a whole data set and report what is there and what is wrong.

    Args:
        folder: the data-set folder.
        division: how it is to be divided.
        progress: called with (cases done, cases in all).
        layout: a name in `sources.layouts`; empty: recognised.

    Raises:
        DataError: when there is no data set at all, or it does not have the division.
    """
    dataset, problems = scan_dataset(folder, layout)
    given = division.find_given(dataset.cases)
    counted: dict[str, _Counted] = {}

    def count(case: Case) -> _Counted | tuple[str, ...]:
        try:
            with share_memory(case.image, case.mask):
                decoded = decode_case(case)
                return _Counted(
                    size=(decoded.mask_HW.shape[0], decoded.mask_HW.shape[1]),
                    pixels_256=count_indices(decoded.mask_HW),
                    look_HW=look_at(decoded.image_HW3),
                    mask_crc=checksum(decoded.mask_HW),
                    turned=_is_turned_alone(case, decoded.mask_HW),
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
    content = _gather([case for case in dataset.cases if case.name in counted], counted, dataset.classes)
    findings = judge_data(content, dataset.classes, division.folds, given)
    return DataReport(
        dataset=dataset,
        cases=content.cases,
        pixels_NC=content.pixels_NC,
        sizes=dict(Counter(content.sizes).most_common()),
        strata=dict(sorted(Counter((case.group, case.condition) for case in content.cases).items())),
        codes_of_class=_name_codes(dataset),
        pixels_of_class=_by_class(content.pixels_NC.sum(axis=0), dataset.classes),
        images_of_class=_by_class((content.pixels_NC > 0).sum(axis=0), dataset.classes),
        turned=tuple(case.name for case in content.cases if counted[case.name].turned),
        findings=findings,
        problems=(*sorted(problems), *findings.problems),
    )


def _is_turned_alone(case: Case, mask_HW: npt.NDArray[np.uint8]) -> bool:
    orientation = read_orientation(case.image)
    # Laid on its side, an oblong image would not have the size of a mask that lies as its file.
    may_lie = orientation < _ON_ITS_SIDE or mask_HW.shape[0] == mask_HW.shape[1]
    return may_lie and orientation != read_orientation(case.mask)


def _gather(cases: Sequence[Case], counted: Mapping[str, _Counted], classes: ClassTable) -> Content:
    found = [counted[case.name] for case in cases]
    pixels_N256 = np.array([result.pixels_256 for result in found], np.int64).reshape(-1, VOID + 1)
    pixels_NC = pixels_N256[:, [*range(len(classes)), VOID]]
    counted_pixels = zip(found, pixels_NC.tolist(), strict=True)
    return Content(
        cases=tuple(cases),
        sizes=tuple(result.size for result in found),
        pixels_NC=pixels_NC,
        looks_NHW=np.array([result.look_HW for result in found], np.uint8).reshape(-1, SIDE, SIDE),
        masks=tuple(identify_mask(result.size, pixels_C, result.mask_crc) for result, pixels_C in counted_pixels),
    )


def _by_class(values_C: npt.NDArray[np.int64], classes: ClassTable) -> dict[str, int]:
    return dict(zip((*classes.names, VOID_NAME), values_C.tolist(), strict=True))


def _name_codes(dataset: DataSet) -> dict[str, tuple[str, ...]]:
    """Return the colours or numbers of each class; of several encodings, the first case's."""
    codes: dict[str, list[str]] = {name: [] for name in (*dataset.classes.names, VOID_NAME)}
    for case in dataset.cases[:1]:
        for code, index in case.encoding.index_of:
            name = VOID_NAME if index == VOID else dataset.classes.names[index]
            codes[name].append(case.encoding.name_code(code))
    return {name: tuple(of_class) for name, of_class in codes.items()}
