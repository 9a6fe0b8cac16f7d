"""Every image decoded once per node: uint8 memory maps that all trials and loader workers of the node share.

    CACHE/KEY/images.u8   RGB pixels of all cases, one after the other
    CACHE/KEY/masks.u8    class indices of all cases, one after the other
    CACHE/KEY/looks.u8    what each image looks like, 32x32 grey levels, see `likeness`
    CACHE/KEY/index.json  names, sizes, checksums, pixels per class; its presence says that the cache is whole

The folder's time of modification is when it was last used. Building it lives in `build`, what KEY is in
`key`, listing and removing caches in `upkeep`.

Masks are a quarter of the bytes. Deflated in bands of 64 rows they would be a fortieth of that, but to read a 512 crop
of one took 7.4 instead of 0.19 ms, and to read a whole one of 1936x1216 pixels 16 ms; so they lie there as they are.
"""

import json
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from segcore.data.caching.key import KEY_SEPARATOR
from segcore.data.classes import ClassTable, class_table_from_json
from segcore.data.dividing.likeness import SIDE, look_at
from segcore.data.sides import find_usual_side
from segcore.errors import CheckpointError, DataError

FORMAT: Final = "street-cache-6"
INDEX_FILE: Final = "index.json"
IMAGES_FILE: Final = "images.u8"
MASKS_FILE: Final = "masks.u8"
LOOKS_FILE: Final = "looks.u8"
LOCK_SUFFIX: Final = ".lock"
PART_SUFFIX: Final = ".part"
CHANNELS: Final = 3
_ROUNDED: Final = 1
"""Grey level by which looks of one image may differ that two processors computed."""

Progress = Callable[[int, int], None]
"""Called with (cases done, cases in all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedCase:
    """What the index knows of one case.

    Args:
        name: the image's file name without its ending.
        group: what was taken together: a drive, a city; its frames are neighbours.
        condition: in what light or weather: scores are also given by it.
        frame: number within its film; None: it stands alone.
        height: rows, pixels.
        width: columns, pixels.
        image_crc: CRC-32 of the raw pixels.
        mask_crc: CRC-32 of the raw class indices.
        class_pixels: pixels of each class in index order, then of void.
    """

    name: str
    group: str
    condition: str
    frame: int | None
    height: int
    width: int
    image_crc: int
    mask_crc: int
    class_pixels: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pixels:
    classes: ClassTable
    cases: tuple[CachedCase, ...]
    starts: tuple[int, ...]
    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8]
    looks: npt.NDArray[np.uint8]


class PixelCache:
    """Read access to prepared caches; cheap to open, safe to share between processes.

    Args:
        folder: CACHE/KEY of the data set, as returned by `prepare_cache`; its cases come first.
        extra: caches of data sets that are trained on beside it (see `extra`), in this order after it.

    Raises:
        CheckpointError: when a cache is missing, half-written or of the wrong size.
    """

    def __init__(self, folder: Path, extra: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.extra = tuple(extra)
        own = _open_pixels(folder)
        self.classes = own.classes
        parts = (own, *map(_open_pixels, self.extra))
        self.cases = tuple(case for part in parts for case in part.cases)
        self._places = [(part, position) for part in parts for position in range(len(part.cases))]
        self._own_cases = len(own.cases)
        self._looks = tuple(part.looks for part in parts)

    def __reduce__(self) -> tuple[type["PixelCache"], tuple[Path, tuple[Path, ...]]]:
        # A loader worker maps the files anew instead of receiving their content.
        return PixelCache, (self.folder, self.extra)

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def key(self) -> str:
        """The folders' names, joined by +: equal for equal data, whatever the node."""
        return KEY_SEPARATOR.join(folder.name for folder in (self.folder, *self.extra))

    @property
    def extra_names(self) -> tuple[str, ...]:
        """Names of the cases that are trained on but never validated."""
        return self.names[self._own_cases :]

    @property
    def names(self) -> tuple[str, ...]:
        """Case names, in index order."""
        return tuple(case.name for case in self.cases)

    @property
    def usual_side(self) -> int:
        """Length that the shorter sides of nearly all images reach, pixels: the largest crop."""
        return find_usual_side([min(case.height, case.width) for case in self.cases])

    @property
    def own_cases(self) -> tuple[CachedCase, ...]:
        """The cases of the data set itself, without those that are trained on beside it."""
        return self.cases[: self._own_cases]

    @property
    def own_looks_NHW(self) -> npt.NDArray[np.uint8]:
        """What each of the own images looks like, see `likeness`."""
        return self._looks[0].reshape(-1, SIDE, SIDE)

    @property
    def looks_NHW(self) -> npt.NDArray[np.uint8]:
        """What each image looks like, in index order."""
        return np.concatenate(self._looks).reshape(-1, SIDE, SIDE)

    @property
    def sizes(self) -> frozenset[tuple[int, int]]:
        """Every (height, width) that a case has, pixels."""
        return frozenset((case.height, case.width) for case in self.cases)

    def image_HW3(self, index: int) -> npt.NDArray[np.uint8]:
        """RGB pixels of a case, a read-only view of the memory map."""
        part, position = self._places[index]
        case, start = part.cases[position], part.starts[position]
        stop = start + case.height * case.width
        return part.images[start * CHANNELS : stop * CHANNELS].reshape(case.height, case.width, CHANNELS)

    def mask_HW(self, index: int) -> npt.NDArray[np.uint8]:
        """Class indices of a case, a read-only view of the memory map."""
        part, position = self._places[index]
        case, start = part.cases[position], part.starts[position]
        return part.masks[start : start + case.height * case.width].reshape(case.height, case.width)


def open_cache(root: Path, key: str) -> PixelCache:
    """Open the caches that a `PixelCache.key` names.

    Args:
        root: folder that holds the caches of a node.
        key: names of their folders, joined by +.

    Raises:
        CheckpointError: when one is missing or cannot be used.
    """
    own, *extra = (root / name for name in key.split(KEY_SEPARATOR))
    cache = PixelCache(own, tuple(extra))
    for folder in (own, *extra):
        note_use(folder)
    return cache


def note_use(folder: Path) -> None:
    """Let a cache's folder say that it was used now."""
    # A cache of somebody else, or on a disk that is only read, may be used all the same.
    with suppress(OSError):
        os.utime(folder)


def find_damaged(cache: PixelCache) -> tuple[str, ...]:
    """Read every pixel and return the names of the cases that are not what was written."""
    looks_NHW = cache.looks_NHW

    def is_damaged(index: int) -> bool:
        case, image_HW3 = cache.cases[index], cache.image_HW3(index)
        if (checksum(image_HW3), checksum(cache.mask_HW(index))) != (case.image_crc, case.mask_crc):
            return True
        return bool(cv2.absdiff(look_at(image_HW3), looks_NHW[index]).max() > _ROUNDED)

    with ThreadPoolExecutor() as pool:
        damaged = pool.map(is_damaged, range(len(cache)))
        return tuple(case.name for case, bad in zip(cache.cases, damaged, strict=True) if bad)


def checksum(pixels: npt.NDArray[np.uint8]) -> int:
    """Return the CRC-32 of raw pixels."""
    return zlib.crc32(np.ascontiguousarray(pixels).data)


def _read_index(folder: Path) -> tuple[ClassTable, tuple[CachedCase, ...]]:
    try:
        index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise ValueError(f"format {index['format']!r}, not {FORMAT!r}")
        classes = class_table_from_json(index["classes"])
        return classes, tuple(_read_case(case, len(classes)) for case in index["cases"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, DataError) as error:
        raise CheckpointError(
            f"The cache {folder} cannot be used ({error!r:.300}); prepare it again from the data set."
        ) from error


def _read_case(document: dict[str, Any], classes: int) -> CachedCase:
    case = CachedCase(**{**document, "class_pixels": tuple(document["class_pixels"])})
    if len(case.class_pixels) != classes + 1 or sum(case.class_pixels) != case.height * case.width:
        raise ValueError(f"{case.name}: class_pixels {case.class_pixels} do not add up to its size")
    return case


def _open_pixels(folder: Path) -> _Pixels:
    classes, cases = _read_index(folder)
    *starts, total = accumulate((case.height * case.width for case in cases), initial=0)
    return _Pixels(
        classes=classes,
        cases=cases,
        starts=tuple(starts),
        images=_map_file(folder / IMAGES_FILE, total * CHANNELS),
        masks=_map_file(folder / MASKS_FILE, total),
        looks=_map_file(folder / LOOKS_FILE, len(cases) * SIDE**2),
    )


def _map_file(file: Path, expected_bytes: int) -> npt.NDArray[np.uint8]:
    found_bytes = -1
    with suppress(OSError):
        found_bytes = file.stat().st_size
    if found_bytes != expected_bytes:
        raise CheckpointError(
            f"The cache file {file} has {found_bytes} bytes, not {expected_bytes}; prepare it again from the data set."
        )
    return np.memmap(file, np.uint8, "r")
