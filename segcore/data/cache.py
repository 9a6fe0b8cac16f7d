"""Every image decoded once per node: uint8 memory maps that all trials and loader workers of the node share.

    CACHE/KEY/images.u8   RGB pixels of all cases, one after the other
    CACHE/KEY/masks.u8    class indices of all cases, one after the other
    CACHE/KEY/looks.u8    what each image looks like, 32x32 grey levels, see `likeness`
    CACHE/KEY/index.json  names, sizes, checksums, pixels per class; its presence says that the cache is whole

KEY is a digest of the files' contents and the class table, so changed data gets a new cache and equal data
shares one. Whoever comes first builds, under a file lock, into a temporary folder that is renamed when whole.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from segcore.data.case import Case, DataSet
from segcore.data.classes import VOID, ClassTable, class_table_from_json, class_table_to_json, count_indices
from segcore.data.dataset import DecodedCase, decode_case, find_pixel_problems
from segcore.data.decoding import read_size, require_regular, share_memory
from segcore.data.likeness import SIDE, look_at
from segcore.data.listing import broken_folder
from segcore.data.sides import find_usual_side
from segcore.errors import CheckpointError, DataError, StorageError

_FORMAT: Final = "street-cache-5"
_SPARE_BYTES: Final = 256 << 20
_CHANNELS: Final = 3
_KEY_SEPARATOR: Final = "+"

Progress = Callable[[int, int], None]
"""Called with (cases done, cases in all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedCase:
    """What the index knows of one case.

    Args:
        name: the image's file name without its ending.
        group: what was taken together: a drive, a city; its frames are neighbours.
        condition: in what light or weather: scores are also given by it.
        frame: number within its film.
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
        self._looks = own.looks

    def __reduce__(self) -> tuple[type["PixelCache"], tuple[Path, tuple[Path, ...]]]:
        # A loader worker maps the files anew instead of receiving their content.
        return PixelCache, (self.folder, self.extra)

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def key(self) -> str:
        """The folders' names, joined by +: equal for equal data, whatever the node."""
        return _KEY_SEPARATOR.join(folder.name for folder in (self.folder, *self.extra))

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
        return self._looks.reshape(-1, SIDE, SIDE)

    def image_HW3(self, index: int) -> npt.NDArray[np.uint8]:
        """RGB pixels of a case, a read-only view of the memory map."""
        part, position = self._places[index]
        case, start = part.cases[position], part.starts[position]
        stop = start + case.height * case.width
        return part.images[start * _CHANNELS : stop * _CHANNELS].reshape(case.height, case.width, _CHANNELS)

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
    own, *extra = key.split(_KEY_SEPARATOR)
    return PixelCache(root / own, tuple(root / name for name in extra))


def prepare_cache(dataset: DataSet, root: Path, progress: Progress | None = None) -> Path:
    """Return the folder of the data set's cache, building it if it is missing or damaged.

    Args:
        dataset: the cases to decode.
        root: folder that holds the caches of a node.
        progress: told how many cases are decoded; not called when the cache is there.

    Raises:
        DataError: listing every image and mask that cannot be used.
        StorageError: when the disk is too small or the folder cannot be written.
    """
    folder = root / _digest(dataset)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{folder.name}.lock"):
            if not _is_whole(folder):
                shutil.rmtree(folder, ignore_errors=True)
                _build(dataset, folder, progress or (lambda done, total: None))
    except OSError as error:
        raise StorageError(
            f"The cache cannot be written to {root} ({error}); choose another folder with --cache."
        ) from error
    return folder


def _digest(dataset: DataSet) -> str:
    digest = hashlib.blake2b(digest_size=16)
    encodings = sorted({case.encoding for case in dataset.cases}, key=repr)
    digest.update(json.dumps([_FORMAT, class_table_to_json(dataset.classes), repr(encodings)]).encode())
    with ThreadPoolExecutor() as pool:
        for case, content in zip(dataset.cases, pool.map(_digest_files, dataset.cases), strict=True):
            digest.update(json.dumps([case.name, case.group, case.condition, case.frame, case.split, content]).encode())
    return digest.hexdigest()


def _digest_files(case: Case) -> list[str]:
    digests = []
    for file in (case.image, case.mask):
        try:
            require_regular(file)
            with file.open("rb") as stream:
                digests.append(hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest())
        except OSError as error:
            raise DataError(f"{file} cannot be read ({error.strerror}); the data changed meanwhile.") from error
    return digests


def _is_whole(folder: Path) -> bool:
    try:
        cache = PixelCache(folder)
    except CheckpointError:
        return False

    def matches(index: int) -> bool:
        case = cache.cases[index]
        return _checksum(cache.image_HW3(index)) == case.image_crc and _checksum(cache.mask_HW(index)) == case.mask_crc

    with ThreadPoolExecutor() as pool:
        return all(pool.map(matches, range(len(cache))))


def _build(dataset: DataSet, folder: Path, progress: Progress) -> None:
    sizes = _read_sizes(dataset)
    _require_disk(folder.parent, sum(height * width for height, width in sizes) * (_CHANNELS + 1))
    for abandoned in folder.parent.glob(f"{folder.name}.*.part"):
        shutil.rmtree(abandoned, ignore_errors=True)
    part = folder.parent / f"{folder.name}.{os.getpid()}.part"
    part.mkdir()
    try:
        cases = _write_pixels(dataset, sizes, part, progress)
        index = {
            "format": _FORMAT,
            "classes": class_table_to_json(dataset.classes),
            "cases": [asdict(case) for case in cases],
        }
        (part / "index.json").write_text(json.dumps(index), encoding="utf-8")
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _read_sizes(dataset: DataSet) -> list[tuple[int, int]]:
    sizes, problems = [], []
    for case in dataset.cases:
        try:
            sizes.append(read_size(case.image))
        except DataError as error:
            problems.append(str(error))
    if problems:
        # The full check decodes the rest too, so that one message holds everything.
        _raise_every_problem(dataset)
    return sizes


def _raise_every_problem(dataset: DataSet) -> None:
    raise broken_folder(dataset.folder, [line for _, line in find_pixel_problems(dataset)])


def _require_disk(root: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(root).free
    if needed_bytes + _SPARE_BYTES > free_bytes:
        raise StorageError(
            f"The cache needs {needed_bytes / 2**30:.1f} GiB but {root} has {free_bytes / 2**30:.1f} GiB free; "
            "make room or choose another folder with --cache."
        )


def _write_pixels(
    dataset: DataSet, sizes: Sequence[tuple[int, int]], part: Path, progress: Progress
) -> list[CachedCase]:
    offsets = (0, *accumulate(height * width for height, width in sizes))
    images = np.memmap(part / "images.u8", np.uint8, "w+", shape=(max(1, offsets[-1] * _CHANNELS),))
    masks = np.memmap(part / "masks.u8", np.uint8, "w+", shape=(max(1, offsets[-1]),))
    looks_NHW = np.zeros((len(sizes), SIDE, SIDE), np.uint8)

    def write(position: int) -> CachedCase | tuple[str, ...]:
        case = dataset.cases[position]
        try:
            with share_memory(case.image, case.mask):
                return keep(position, decode_case(case))
        except DataError as error:
            return error.problems

    def keep(position: int, decoded: DecodedCase) -> CachedCase:
        case = dataset.cases[position]
        start, stop = offsets[position], offsets[position + 1]
        images[start * _CHANNELS : stop * _CHANNELS] = decoded.image_HW3.reshape(-1)
        masks[start:stop] = decoded.mask_HW.reshape(-1)
        looks_NHW[position] = look_at(decoded.image_HW3)
        return CachedCase(
            name=case.name,
            group=case.group,
            condition=case.condition,
            frame=case.frame,
            height=sizes[position][0],
            width=sizes[position][1],
            image_crc=_checksum(decoded.image_HW3),
            mask_crc=_checksum(decoded.mask_HW),
            class_pixels=_count_pixels(decoded.mask_HW, len(dataset.classes)),
        )

    cases: list[CachedCase] = []
    problems: list[str] = []
    with ThreadPoolExecutor() as pool:
        for done, written in enumerate(pool.map(write, range(len(dataset.cases))), start=1):
            if isinstance(written, CachedCase):
                cases.append(written)
            else:
                problems += written
            progress(done, len(dataset.cases))
    if problems:
        raise broken_folder(dataset.folder, problems)
    images.flush()
    masks.flush()
    (part / "looks.u8").write_bytes(looks_NHW.tobytes())
    return cases


def _checksum(pixels: npt.NDArray[np.uint8]) -> int:
    return zlib.crc32(np.ascontiguousarray(pixels).data)


def _count_pixels(mask_HW: npt.NDArray[np.uint8], classes: int) -> tuple[int, ...]:
    pixels_256 = count_indices(mask_HW).tolist()
    return (*pixels_256[:classes], pixels_256[VOID])


def _read_index(folder: Path) -> tuple[ClassTable, tuple[CachedCase, ...]]:
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        if index["format"] != _FORMAT:
            raise ValueError(f"format {index['format']!r}, not {_FORMAT!r}")
        classes = class_table_from_json(index["classes"])
        return classes, tuple(_read_case(case, len(classes)) for case in index["cases"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, DataError) as error:
        raise CheckpointError(
            f"The cache {folder} cannot be used ({error!r}); prepare it again from the data set."
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
        images=_map_file(folder / "images.u8", total * _CHANNELS),
        masks=_map_file(folder / "masks.u8", total),
        looks=_map_file(folder / "looks.u8", len(cases) * SIDE**2),
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
