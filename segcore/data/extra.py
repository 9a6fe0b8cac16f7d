"""Data sets that are trained on beside the real one, such as pseudo labels, and never validated.

The folds are made of the real data alone; how an extra case joins a fold's training cases lives in `folds`. Nothing
of the real data may come in by this way, for then a network would be validated on images that it knows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from segcore.counting import count_words
from segcore.data.caching.build import Announce, prepare_cache
from segcore.data.caching.cache import PixelCache, Progress
from segcore.data.case import DataSet
from segcore.data.classes import ClassTable
from segcore.data.dataset import read_dataset
from segcore.data.dividing.copies import find_made_of
from segcore.data.dividing.likeness import find_recoloured, find_twins, identify_mask, identify_moment
from segcore.errors import DataError

_MOST_NAMES: Final = 5
_MOST_TOLD: Final = 50


def read_extra(dataset: DataSet, folders: Sequence[Path]) -> tuple[DataSet, ...]:
    """Read the data sets that are trained on beside another.

    Args:
        dataset: the real data.
        folders: the extra data-set folders; their classes must be those of the real data, their names new.

    Raises:
        DataError: with everything that is wrong with a folder, in which it differs from the real data, or that was made
            of images of these.
    """
    extra = tuple(read_dataset(folder) for folder in folders)
    known = {case.name: dataset.folder for case in dataset.cases}
    for other in extra:
        _require_same_classes(dataset, other)
        clashes = [case.name for case in other.cases if case.name in known]
        if clashes:
            raise DataError(
                f"{other.folder} cannot be trained on beside {dataset.folder}: "
                f"{count_words(len(clashes), 'name occurs', 'names occur')} twice; rename images, masks "
                "and annotations, or make pseudo labels again with --prefix:",
                [f"{name}: also in {known[name]}" for name in clashes[:_MOST_NAMES]],
            )
        _require_nothing_made_of(dataset, other)
        known |= {case.name: other.folder for case in other.cases}
    return extra


def prepare_caches(
    dataset: DataSet,
    extra: Sequence[DataSet],
    root: Path,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> PixelCache:
    """Prepare the cache of every data set and open them as one, the real data first.

    Args:
        dataset: the real data.
        extra: what `read_extra` returned; may be empty.
        root: folder that holds the caches of a node.
        progress: told how many cases of a data set are decoded.
        announce: told of each data set, after its first images, what the decoding takes.

    Raises:
        DataError: listing every image and mask that cannot be used, or every extra image that is one of the real data.
        StorageError: when the disk is too small or the folder cannot be written.
    """
    own, *others = (prepare_cache(part, root, progress, announce) for part in (dataset, *extra))
    cache = PixelCache(own, tuple(others))
    _require_new_images(cache)
    return cache


def _require_same_classes(dataset: DataSet, other: DataSet) -> None:
    differences = _compare(dataset.classes, other.classes)
    if differences:
        raise DataError(
            f"The classes of {other.folder} are not those of {dataset.folder}; if its masks are drawn in the same "
            "colours, give it the same classes.json:",
            differences,
        )


def _require_nothing_made_of(dataset: DataSet, other: DataSet) -> None:
    made = find_made_of([case.name for case in dataset.cases], [case.name for case in other.cases])
    if made:
        raise DataError(
            f"{count_words(len(made), 'extra image was', 'extra images were')} made of one of the real data, "
            f"by the names in {other.folder}, and networks would be validated on what they know; take such images out "
            "of the extra data:",
            _tell_first([f"{name}: of what {real} is" for name, real in made.items()]),
        )


def _compare(ours: ClassTable, theirs: ClassTable) -> list[str]:
    # Void colours may differ: each mask is decoded by its own table, and void is void.
    pairs = {
        "names": (ours.names, theirs.names),
        "colours": (ours.colours, theirs.colours),
        "scored": (ours.scored, theirs.scored),
    }
    return [f"{name}: {list(mine)} there, {list(other)} here" for name, (mine, other) in pairs.items() if mine != other]


def _require_new_images(cache: PixelCache) -> None:
    looks_NHW, own = cache.looks_NHW, len(cache.own_looks_NHW)
    twins = find_twins(looks_NHW[:own], looks_NHW[own:])
    for group in _find_recoloured(cache):
        twins = {**{place - own: group[0] for place in group if group[0] < own <= place}, **twins}
    problems = [
        f"{cache.cases[own + extra].name}: the same picture as {cache.cases[twin].name}"
        for extra, twin in sorted(twins.items())
    ]
    if problems:
        raise DataError(
            f"{count_words(len(problems), 'extra image shows a picture', 'extra images show pictures')} of the real "
            "data, perhaps mirrored, resized, in other colours or compressed anew, and networks would be validated on "
            "what they know; take such images out of the extra data:",
            _tell_first(problems),
        )


def _find_recoloured(cache: PixelCache) -> list[tuple[int, ...]]:
    masks = [identify_mask((case.height, case.width), case.class_pixels, case.mask_crc) for case in cache.cases]
    moments = [identify_moment(case.group, case.frame) for case in cache.cases]
    return find_recoloured(cache.looks_NHW, masks, moments)


def _tell_first(problems: Sequence[str]) -> list[str]:
    more = [f"and {len(problems) - _MOST_TOLD} more"] if len(problems) > _MOST_TOLD else []
    return [*problems[:_MOST_TOLD], *more]
