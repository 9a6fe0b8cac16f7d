"""The embedded demo streets: a data set in the contest's layout, drawn instead of filmed.

Which frames there are and their files live here; the drawing starts in `streets.world`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from segcore.data.classes import CONTEST_CLASSES
from segcore.data.new_folder import new_folder
from segcore.data.sources.contest import ANNOTATIONS_FOLDER, IMAGES_FOLDER
from segcore.errors import ConfigError
from segcore.streets.canvas import Image
from segcore.streets.routes import Moment
from segcore.streets.world import draw_moment

_SMALLEST: Final = 64
_CASES_PER_DRIVE: Final = 8
_INDEX_STEP: Final = 4
_JPEG_QUALITY: Final = 92
_FIRST_TEST_DRIVE: Final = 1000

# Unbalanced like the contest: more drives by day than by night, more in Tokyo1 than in Saitama.
_DRIVES: Final = (
    ("Tokyo1", "day", 1.5), ("Tokyo2", "morning", 0.9), ("Saitama", "night", 0.6), ("Tokyo1", "night", 1.1),
    ("Tokyo2", "day", 1.3), ("Saitama", "day", 0.8), ("Tokyo1", "day", 1.3), ("Tokyo1", "morning", 0.6),
    ("Tokyo2", "night", 0.7), ("Saitama", "morning", 0.6), ("Tokyo1", "day", 1.6),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folders:
    images: Path
    annotations: Path
    test_images: Path


def write_streets(
    folder: Path,
    *,
    cases: int = 96,
    height: int = 128,
    width: int = 192,
    seed: int = 0,
    test_cases: int = 8,
) -> None:
    """Write a data set of drawn streets in the contest's layout; the same arguments give the same bytes.

    Frames of one drive are 4 frame numbers apart and look alike; the file numbers are shuffled.

    Args:
        folder: new or empty; `seg_train_images`, `seg_train_annotations` and `seg_test_images` are made in it, or
            nothing.
        cases: labelled pictures, at least 1.
        height: rows, pixels, at least 64.
        width: columns, pixels, at least 64.
        seed: decides the world, the drives and the noise; not negative.
        test_cases: pictures without truth, 0 or more.

    Raises:
        ConfigError: for a number outside its range, naming each.
        StorageError: when the folder holds something already or cannot be written.
    """
    _check_arguments(cases=cases, height=height, width=width, seed=seed, test_cases=test_cases)
    rng = np.random.default_rng([seed, 77])
    train = _plan_moments(cases, seed=seed, first_drive=0)
    order = rng.permutation(cases)
    # No drive of the labelled ones, of which there are at most as many as cases.
    test = _plan_moments(test_cases, seed=seed, first_drive=max(_FIRST_TEST_DRIVE, cases))
    with new_folder(folder) as part:
        folders = _make_folders(part)
        for number, place in enumerate(order):
            _write_case(folders, f"train_{number:04d}", train[place], height=height, width=width)
        for number, moment in enumerate(test):
            image_HW3, _ = draw_moment(moment, height=height, width=width)
            _write_image(image_HW3, folders.test_images / f"test_{number:04d}.jpg")


def _check_arguments(*, cases: int, height: int, width: int, seed: int, test_cases: int) -> None:
    least = {
        "cases": (cases, 1),
        "height": (height, _SMALLEST),
        "width": (width, _SMALLEST),
        "seed": (seed, 0),
        "test_cases": (test_cases, 0),
    }
    for name, (value, minimum) in least.items():
        if value < minimum:
            raise ConfigError(f"{name} is {value}; it must be at least {minimum}: raise it to that.")


def _plan_moments(cases: int, *, seed: int, first_drive: int) -> Sequence[Moment]:
    drives = max(cases // _CASES_PER_DRIVE, min(cases, 3))
    weights_D = np.array([_DRIVES[drive % len(_DRIVES)][2] for drive in range(drives)])
    # Every drive has one frame for sure, so that three frames already show three routes.
    ends_D = np.arange(1, drives + 1) + np.round((cases - drives) * np.cumsum(weights_D) / weights_D.sum())
    lengths_D = np.diff(ends_D.astype(int), prepend=0)
    return [
        _plan_frame(first_drive + drive, frame, seed=seed)
        for drive, frames in enumerate(lengths_D.tolist())
        for frame in range(frames)
    ]


def _plan_frame(drive: int, frame: int, *, seed: int) -> Moment:
    route, timeofday, _ = _DRIVES[drive % len(_DRIVES)]
    start = 200 + 1000 * drive + int(np.random.default_rng([seed, 78, drive]).integers(0, 600))
    return Moment(route=route, timeofday=timeofday, frame_index=start + _INDEX_STEP * frame, drive=drive, seed=seed)


def _make_folders(folder: Path) -> _Folders:
    folders = _Folders(
        images=folder / IMAGES_FOLDER, annotations=folder / ANNOTATIONS_FOLDER, test_images=folder / "seg_test_images"
    )
    for made in (folders.images, folders.annotations, folders.test_images):
        made.mkdir()
    return folders


def _write_case(folders: _Folders, name: str, moment: Moment, *, height: int, width: int) -> None:
    image_HW3, truth_HW = draw_moment(moment, height=height, width=width)
    _write_image(image_HW3, folders.images / f"{name}.jpg")
    _write_image(CONTEST_CLASSES.palette_N3[truth_HW], folders.annotations / f"{name}.png")
    document = {
        "attributes": {"route": moment.route, "timeofday": moment.timeofday},
        "frameIndex": moment.frame_index,
    }
    (folders.annotations / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")


def _write_image(image_HW3: Image, file: Path) -> None:
    # OpenCV's channels are in the order blue, green, red; its quality setting is ignored for PNG.
    bgr_HW3 = np.ascontiguousarray(image_HW3[..., ::-1])
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if file.suffix == ".jpg" else []
    _, encoded_N = cv2.imencode(file.suffix, bgr_HW3, options)
    file.write_bytes(encoded_N.tobytes())
