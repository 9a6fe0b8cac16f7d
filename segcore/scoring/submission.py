"""The contest's submission JSON: masks as runs of columns per row, written and read.

The form is `{"x.jpg": {"car": {"<row>": [[x0, x1], ...]}}}` with inclusive runs of the scored classes only.
Which colour is which class is told in `classes`; pictures of masks live in `figures`.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from segcore.counting import count_words
from segcore.data.classes import CONTEST_CLASSES, VOID, ClassTable
from segcore.data.names import refuse_repeated_keys
from segcore.data.picture_files import require_replaceable
from segcore.errors import DataError, StorageError
from segcore.replacing import explain_unwritten, replacing

Mask = npt.NDArray[np.uint8]
Rows = dict[str, list[list[int]]]
"""Row number as text to the inclusive runs of columns in that row."""

ClassRuns = dict[str, Rows]
"""Class name to its rows: the part of a submission for one image."""

_UNLIMITED: Final = 1 << 31
_MOST_PROBLEMS: Final = 50


def list_runs(mask_HW: Mask, table: ClassTable = CONTEST_CLASSES) -> ClassRuns:
    """Turn class indices into runs of columns.

    Args:
        mask_HW: class indices, uint8; indices that are no scored class are left out.
        table: the classes; `scored` decides which are written.

    Returns:
        Class name -> row number as text -> inclusive runs `[x0, x1]`; names sorted, rows and runs ascending.

    Raises:
        DataError: when the mask is empty or not a 2-D uint8 array.
    """
    if mask_HW.ndim != 2 or mask_HW.dtype != np.uint8 or mask_HW.size == 0:
        raise DataError(
            f"The mask is {mask_HW.dtype} of shape {mask_HW.shape}; a submission needs class indices, "
            "uint8 of shape (height, width): take the argmax over the classes and convert it."
        )
    starts_R, ends_R = _find_runs(mask_HW)
    classes_R = mask_HW.reshape(-1)[starts_R]
    width, runs = mask_HW.shape[1], {}
    for name, index in sorted(zip(table.scored, table.scored_indices, strict=True)):
        chosen_R = classes_R == index
        if chosen_R.any():
            runs[name] = _group_by_row(starts_R[chosen_R], ends_R[chosen_R], width)
    return runs


def paint_runs(
    runs: ClassRuns, *, height: int, width: int, table: ClassTable = CONTEST_CLASSES, image: str = "image"
) -> Mask:
    """Turn runs of columns into class indices; the reverse of `list_runs` on scored classes.

    Args:
        runs: the part of a submission for one image.
        height: rows of the mask, pixels.
        width: columns of the mask, pixels.
        table: the classes.
        image: name for the error message.

    Returns:
        Class indices (height, width), uint8; `VOID` where no scored class is.

    Raises:
        DataError: naming image, class and row of every malformed or overlapping run.
    """
    mask_P = np.full(height * width, VOID, np.uint8)
    problems: list[str] = []
    for name, rows in _check_names(image, runs, table, problems):
        runs_R3 = _read_runs(f"{image}: {name}", rows, height, width, problems)
        pixels_P = _list_pixels(runs_R3, width)
        taken_P = pixels_P[mask_P[pixels_P] != VOID]
        if len(taken_P):
            other = table.names[mask_P[taken_P[0]]]
            problems.append(f"{image}: {name}, row {taken_P[0] // width}: overlaps {other!r}; drop one of them")
        mask_P[pixels_P] = table.names.index(name)
    if problems:
        raise DataError("The runs are no mask:", _shorten(problems))
    return mask_P.reshape(height, width)


def write_submission(masks: Iterable[tuple[str, Mask]], file: Path, table: ClassTable = CONTEST_CLASSES) -> None:
    """Write a submission, holding one image in memory at a time; the file appears only when it is complete.

    Args:
        masks: image names with their class indices (H, W), uint8, in any order.
        file: where to write; an existing file is replaced.
        table: the classes.

    Raises:
        DataError: when an image name occurs twice or a mask is not (H, W) uint8.
        StorageError: when the file cannot be written.
    """
    require_replaceable(file)
    try:
        with (
            replacing(file) as temporary,
            tempfile.TemporaryFile(dir=file.parent) as parts,
            temporary.open("wb") as output,
        ):
            _join_parts(parts, _write_parts(masks, parts, table), output)
    except OSError as error:
        raise StorageError(f"{file} {explain_unwritten(error)}.") from error


def read_submission(file: Path, table: ClassTable = CONTEST_CLASSES) -> dict[str, ClassRuns]:
    """Read a submission and check all of it but what needs the images' sizes, which `paint_runs` does.

    Args:
        file: the JSON file.
        table: the classes; only the scored ones may occur.

    Raises:
        DataError: when the file is not JSON, or naming image, class and row of every unknown class and every
            run that is malformed, backwards or overlapping another of its class.
    """
    try:
        document: object = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=refuse_repeated_keys)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read ({error}); a submission is one JSON document.") from error
    if not isinstance(document, dict):
        raise DataError(f"{file} holds {document!r:.40}; a submission is an object of image names.")
    problems: list[str] = []
    for image, runs in document.items():
        for name, rows in _check_names(image, runs, table, problems):
            _read_runs(f"{image}: {name}", rows, _UNLIMITED, _UNLIMITED, problems)
    if problems:
        raise DataError(f"{file} is not a valid submission:", _shorten(problems))
    return document


def _shorten(problems: list[str]) -> list[str]:
    more = len(problems) - _MOST_PROBLEMS
    return problems if more <= 0 else [*problems[:_MOST_PROBLEMS], f"and {count_words(more, 'more problem')}"]


def _find_runs(mask_HW: Mask) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    changes_HW = np.ones(mask_HW.shape, np.bool_)
    np.not_equal(mask_HW[:, 1:], mask_HW[:, :-1], out=changes_HW[:, 1:])
    starts_R = np.flatnonzero(changes_HW)
    return starts_R, np.append(starts_R[1:], mask_HW.size) - 1


def _group_by_row(starts_R: npt.NDArray[np.intp], ends_R: npt.NDArray[np.intp], width: int) -> Rows:
    rows_R = starts_R // width
    runs: list[list[int]] = np.stack([starts_R % width, ends_R % width], axis=1).tolist()
    firsts = np.flatnonzero(np.diff(rows_R, prepend=-1)).tolist()
    lasts = [*firsts[1:], len(runs)]
    return {str(rows_R[first]): runs[first:last] for first, last in zip(firsts, lasts, strict=True)}


def _check_names(image: str, runs: object, table: ClassTable, problems: list[str]) -> Iterator[tuple[str, object]]:
    if not isinstance(runs, dict):
        problems.append(f"{image:.100}: holds {runs!r:.40}; it must be an object of class names")
        return
    for name, rows in runs.items():
        if name in table.scored:
            yield name, rows
        else:
            problems.append(f"{image:.100}: class {name!r:.60} is not scored; use only {', '.join(table.scored)}")


def _read_runs(label: str, rows: object, height: int, width: int, problems: list[str]) -> npt.NDArray[np.int64]:
    """Return the sound runs of a class as (row, x0, x1), sorted; describe the others in `problems`."""
    if not isinstance(rows, dict):
        problems.append(f"{label:.200}: holds {rows!r:.40}; it must be an object of row numbers")
        return np.zeros((0, 3), np.int64)
    triples = []
    for key, runs in rows.items():
        fault = _find_row_fault(key, runs, height, width)
        if fault:
            problems.append(f"{label:.200}, row {key:.40}: {fault}")
        else:
            triples += [(int(key), first, last) for first, last in runs]
    runs_R3 = np.array(sorted(triples), np.int64).reshape(-1, 3)
    overlap_R = (runs_R3[1:, 0] == runs_R3[:-1, 0]) & (runs_R3[1:, 1] <= runs_R3[:-1, 2])
    for row in np.unique(runs_R3[1:][overlap_R, 0]):
        problems.append(f"{label}, row {row}: runs overlap; join them into one")
    return runs_R3


def _find_row_fault(key: str, runs: object, height: int, width: int) -> str:
    # Python turns no number of thousands of digits into a whole one.
    if not (key.isascii() and key.isdecimal() and len(key) <= len(str(_UNLIMITED)) and str(int(key)) == key):
        return "the row is not a whole number; write it as '0', '1', ..."
    if int(key) >= height:
        return f"outside the image; rows go from 0 to {height - 1}"
    if not isinstance(runs, list) or not runs:
        return f"{runs!r:.40} is not a list of runs; write [[x0, x1], ...] or leave the row out"
    for run in runs:
        if not isinstance(run, list) or len(run) != 2 or not all(type(column) is int for column in run):
            return f"run {run!r:.40} is not a pair of whole numbers; write [x0, x1]"
        if run[0] > run[1]:
            return f"run {run} goes backwards; x0 must be at most x1"
        if run[0] < 0 or run[1] >= width:
            return f"run {run} is outside the image; columns go from 0 to {width - 1}"
    return ""


def _list_pixels(runs_R3: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    lengths_R = runs_R3[:, 2] - runs_R3[:, 1] + 1
    before_R = np.cumsum(lengths_R) - lengths_R
    starts_R = runs_R3[:, 0] * width + runs_R3[:, 1]
    pixels_P: npt.NDArray[np.int64] = np.repeat(starts_R - before_R, lengths_R) + np.arange(lengths_R.sum())
    return pixels_P


def _write_parts(masks: Iterable[tuple[str, Mask]], parts: IO[bytes], table: ClassTable) -> dict[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    for image, mask_HW in masks:
        if image in places:
            raise DataError(f"Image {image!r} occurs twice; a submission holds each image once.")
        part = json.dumps(list_runs(mask_HW, table), sort_keys=True, separators=(",", ":")).encode()
        places[image] = (parts.tell(), len(part))
        parts.write(part)
    return places


def _join_parts(parts: IO[bytes], places: dict[str, tuple[int, int]], output: IO[bytes]) -> None:
    # Images arrive in any order but the keys are sorted: hence the detour over a file of parts.
    for number, image in enumerate(sorted(places)):
        start, length = places[image]
        parts.seek(start)
        output.write((b"," if number else b"{") + json.dumps(image).encode() + b":" + parts.read(length))
    output.write(b"}" if places else b"{}")
