"""Builds the cache of a data set: decodes every image once, and says before how much that is and how long it takes.

Whoever comes first builds, under a file lock, into a temporary folder that is renamed when it is whole: written
through to the disk, and read back once. Later starts look at sizes and index alone; `upkeep` reads all again.
Where a data set's cache lies says `key`; opening it lives in `cache`.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from segcore.counting import count_words
from segcore.data.caching.cache import (
    CHANNELS,
    FORMAT,
    IMAGES_FILE,
    INDEX_FILE,
    LOCK_SUFFIX,
    LOOKS_FILE,
    MASKS_FILE,
    PART_SUFFIX,
    CachedCase,
    PixelCache,
    Progress,
    checksum,
    find_damaged,
    note_use,
)
from segcore.data.caching.disk import reserved_file, write_at, write_through
from segcore.data.caching.key import require_unchanged, see_data
from segcore.data.case import DataSet
from segcore.data.classes import VOID, class_table_to_json, count_indices
from segcore.data.dataset import DecodedCase, decode_case, find_pixel_problems
from segcore.data.decoding import read_size, share_memory
from segcore.data.dividing.likeness import SIDE, look_at
from segcore.data.listing import broken_folder
from segcore.errors import CheckpointError, DataError, StorageError

_SPARE_BYTES: Final = 256 << 20
_MOST_NAMES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """What a cache that is about to be built takes.

    Args:
        root: folder of the caches.
        images: how many are decoded.
        bytes: how many they take on the disk.
        seconds: how long it takes, as far as the first images tell.
    """

    root: Path
    images: int
    bytes: int
    seconds: float

    def describe(self) -> str:
        """Return it as a line."""
        size = f"{self.bytes / 2**30:.1f} GiB" if self.bytes >= 2**30 else f"{self.bytes / 2**20:.1f} MiB"
        minutes = self.seconds / 60
        time_told = f"{minutes:.0f} min" if minutes >= 2 else f"{max(1, self.seconds):.0f} s"
        return f"decoding {count_words(self.images, 'image')}: {size} in {self.root}, about {time_told}"


Announce = Callable[[BuildPlan], None]


def prepare_cache(
    dataset: DataSet, root: Path, progress: Progress | None = None, announce: Announce | None = None
) -> Path:
    """Return the folder of the data set's cache, building it if it is missing or not whole.

    Args:
        dataset: the cases to decode.
        root: folder that holds the caches of a node.
        progress: told how many cases are decoded; not called when the cache is there.
        announce: told once, after the first images, what the building takes; not called when the cache is there.

    Raises:
        DataError: listing every image and mask that cannot be used, or that was changed meanwhile.
        StorageError: when the disk is too small or the folder cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        seen = see_data(dataset, root, FORMAT)
        folder = root / seen.key
        with FileLock(root / f"{folder.name}{LOCK_SUFFIX}"):
            if not _is_usable(folder):
                shutil.rmtree(folder, ignore_errors=True)
                with _part_folder(folder) as part:
                    _build(dataset, part, progress or (lambda done, total: None), announce or (lambda plan: None))
                    require_unchanged(dataset, seen)
                    part.rename(folder)
                    write_through(root)
            note_use(folder)
    except OSError as error:
        raise StorageError(
            f"The cache cannot be written to {root} ({error}); choose another folder with --cache."
        ) from error
    return folder


def _is_usable(folder: Path) -> bool:
    try:
        PixelCache(folder)
    except CheckpointError:
        return False
    return True


@contextmanager
def _part_folder(folder: Path) -> Iterator[Path]:
    for abandoned in folder.parent.glob(f"{folder.name}.*{PART_SUFFIX}"):
        shutil.rmtree(abandoned, ignore_errors=True)
    part = folder.parent / f"{folder.name}.{os.getpid()}{PART_SUFFIX}"
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _build(dataset: DataSet, part: Path, progress: Progress, announce: Announce) -> None:
    sizes = _read_sizes(dataset)
    _require_disk(part.parent, _count_bytes(sizes))
    cases = _write_pixels(dataset, sizes, part, progress, announce)
    index = {
        "format": FORMAT,
        "data": str(dataset.folder.resolve()),
        "classes": class_table_to_json(dataset.classes),
        "cases": [asdict(case) for case in cases],
    }
    content = json.dumps(index).encode()
    with reserved_file(part / INDEX_FILE, len(content)) as descriptor:
        write_at(descriptor, memoryview(content), 0)
    write_through(part)
    _require_written(part)


def _read_sizes(dataset: DataSet) -> list[tuple[int, int]]:
    sizes, problems = [], []
    for case in dataset.cases:
        try:
            sizes.append(read_size(case.image))
        except DataError as error:
            problems.append(str(error))
    if problems:
        # The full check decodes the rest too, so that one message holds everything.
        raise broken_folder(dataset.folder, [line for _, line in find_pixel_problems(dataset)])
    return sizes


def _count_bytes(sizes: Sequence[tuple[int, int]]) -> int:
    return sum(height * width for height, width in sizes) * (CHANNELS + 1)


def _require_disk(root: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(root).free
    if needed_bytes + _SPARE_BYTES > free_bytes:
        raise StorageError(
            f"The cache needs {needed_bytes / 2**30:.1f} GiB but {root} has {free_bytes / 2**30:.1f} GiB free; "
            "make room (python -m segcore cache lists what older caches take) or choose another folder with --cache."
        )


def _write_pixels(
    dataset: DataSet, sizes: Sequence[tuple[int, int]], part: Path, progress: Progress, announce: Announce
) -> list[CachedCase]:
    offsets = (0, *accumulate(height * width for height, width in sizes))
    cases: dict[int, CachedCase] = {}
    problems: list[str] = []
    with (
        reserved_file(part / IMAGES_FILE, offsets[-1] * CHANNELS) as images,
        reserved_file(part / MASKS_FILE, offsets[-1]) as masks,
        reserved_file(part / LOOKS_FILE, len(sizes) * SIDE**2) as looks,
        ThreadPoolExecutor() as pool,
    ):

        def write(position: int) -> CachedCase | tuple[str, ...]:
            case = dataset.cases[position]
            try:
                with share_memory(case.image, case.mask):
                    decoded = decode_case(case)
            except DataError as error:
                return error.problems
            write_at(images, _raw(decoded.image_HW3), offsets[position] * CHANNELS)
            write_at(masks, _raw(decoded.mask_HW), offsets[position])
            write_at(looks, _raw(look_at(decoded.image_HW3)), position * SIDE**2)
            return _describe(dataset, position, decoded)

        order, sample = _order_cases(len(sizes))
        begun = time.monotonic()
        for done, (position, written) in enumerate(zip(order, pool.map(write, order), strict=True), start=1):
            if isinstance(written, CachedCase):
                cases[position] = written
            else:
                problems += written
            if done == sample:
                announce(_plan(part.parent, sizes, order[:sample], time.monotonic() - begun))
            progress(done, len(order))
    if problems:
        raise broken_folder(dataset.folder, problems)
    return [cases[position] for position in range(len(order))]


def _order_cases(count: int) -> tuple[list[int], int]:
    """Return every position, a sample from the whole data set first, and the number of positions of the sample."""
    sample = list(range(0, count, max(1, count // (4 * (os.cpu_count() or 1)))))
    rest = sorted(set(range(count)) - set(sample))
    return [*sample, *rest], len(sample)


def _plan(root: Path, sizes: Sequence[tuple[int, int]], sample: Sequence[int], seconds: float) -> BuildPlan:
    total, done = _count_bytes(sizes), _count_bytes([sizes[position] for position in sample])
    return BuildPlan(root=root, images=len(sizes), bytes=total, seconds=seconds * total / done)


def _describe(dataset: DataSet, position: int, decoded: DecodedCase) -> CachedCase:
    case = dataset.cases[position]
    return CachedCase(
        name=case.name,
        group=case.group,
        condition=case.condition,
        frame=case.frame,
        height=decoded.mask_HW.shape[0],
        width=decoded.mask_HW.shape[1],
        image_crc=checksum(decoded.image_HW3),
        mask_crc=checksum(decoded.mask_HW),
        class_pixels=_count_pixels(decoded.mask_HW, len(dataset.classes)),
    )


def _count_pixels(mask_HW: npt.NDArray[np.uint8], classes: int) -> tuple[int, ...]:
    pixels_256 = count_indices(mask_HW).tolist()
    return (*pixels_256[:classes], pixels_256[VOID])


def _raw(pixels: npt.NDArray[np.uint8]) -> memoryview:
    return np.ascontiguousarray(pixels).reshape(-1).data


def _require_written(part: Path) -> None:
    damaged = find_damaged(PixelCache(part))
    if damaged:
        names = ", ".join(damaged[:_MOST_NAMES])
        raise StorageError(
            f"{part.parent} does not give back what was written: "
            f"{count_words(len(damaged), 'image is', 'images are')} damaged ({names}); its disk "
            "may be failing, choose another with --cache."
        )
