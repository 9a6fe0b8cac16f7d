"""Images and masks in two folders, as most people have them, whole or divided into train and val.

    DATA/images/a.jpg            DATA/masks/a.png          or img_dir/ann_dir, JPEGImages/SegmentationClass, ...
    DATA/images/train/a.jpg      DATA/masks/train/a.png    the same, divided
    DATA/train/images/a.jpg      DATA/train/masks/a.png    the same, divided first

Below, folders may be nested; names may end as in `pairing`. What masks mean is found in `tables`, facts in `facts`.
"""

from collections.abc import Sequence, Set
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Final

from segcore.counting import count_words
from segcore.data.case import DataSet
from segcore.data.listing import count_unread, find_images, has_images
from segcore.data.sources.advice import init_command
from segcore.data.sources.assembly import assemble, name_below, require_pairs, tell_roots
from segcore.data.sources.pairing import Pairing, Root, pair_roots
from segcore.data.sources.split_names import Side, find_side
from segcore.data.sources.tables import find_table
from segcore.errors import DataError

IMAGE_FOLDERS: Final = ("images", "image", "imgs", "img", "img_dir", "jpegimages", "rgb", "inputs", "input")
MASK_FOLDERS: Final = (
    "masks", "mask", "labels", "label", "ann_dir", "annotations", "annotation", "annot", "segmentationclass", "gt",
    "ground_truth", "groundtruth", "targets", "target",
)  # fmt: skip
"""Lower case; letters' case does not matter."""


def is_pairs(folder: Path) -> bool:
    """Say whether a folder has images and masks in two folders of usual names."""
    return bool(_find_pairs(folder)) or any(_find_pairs(part) for part in _list_splits(folder))


def tell_unread(folder: Path) -> str:
    """Say which folder of a usual name, if any, has no image that is read, and what it has; more may be said behind it.

    Args:
        folder: the data-set folder.
    """
    known = (*IMAGE_FOLDERS, *MASK_FOLDERS)
    for part in _list_folders(folder):
        if part.name.lower() in known and not has_images(part):
            unread = ", ".join(f"{suffix}: {count}" for suffix, count in count_unread(part, below=True).most_common())
            return f"{name_below(part, folder)} has no file that is read ({unread or 'it is empty'}); "
    return ""


def scan_pairs(folder: Path) -> tuple[DataSet, list[str]]:
    """List the usable cases of a folder of pairs, and its problems.

    Raises:
        DataError: when its folders or what its masks mean cannot be told.
        OSError: when a folder may not be read.
    """
    roots, notes = _find_roots(folder)
    found = _divide_by_folder(pair_roots(roots))
    require_pairs(folder, roots, found)
    table = find_table(folder, [pair.mask for pair in found.pairs])
    return assemble("pairs", folder, roots, found, table, [*tell_roots(roots, folder), *notes])


def _find_roots(folder: Path) -> tuple[list[Root], list[str]]:
    """Return the folders of images and masks, and what lies beside them and is left out."""
    images, masks = _choose_pair(folder)
    divided = [part for part in _list_splits(folder) if _find_pairs(part)]
    if images is None or masks is None:
        return _find_divided_first(folder)
    if divided:
        raise _ambiguous(folder, [(images, masks), *_find_pairs(divided[0])])
    notes = _tell_others(folder, set())
    if not _list_splits(images):
        return [Root(images=images, masks=masks)], notes
    roots, more = _find_divided_below(folder, images, masks)
    return roots, [*more, *notes]


def _find_divided_first(folder: Path) -> tuple[list[Root], list[str]]:
    roots, notes = [], []
    for part in _list_splits(folder):
        images, masks = _choose_pair(part)
        side = find_side(part.name)
        if side == "test":
            notes.append(f"left out: {part.name}/, which is for testing")
        elif images is None or masks is None:
            notes.append(f"left out: {part.name}/, in which no folder of images has one of masks beside it")
        else:
            roots.append(Root(images=images, masks=masks, split=side))
    notes += _tell_others(folder, {*_list_splits(folder)}, "which is neither train nor val")
    return _require_roots(roots, folder, notes), notes


def _tell_others(folder: Path, known: Set[Path], reason: str = "which has images and masks of its own") -> list[str]:
    others = [part for part in _list_folders(folder) if part not in known and _find_pairs(part)]
    return [f"left out: {name_below(part, folder)}, {reason}" for part in others]


def _divide_by_folder(found: Pairing) -> Pairing:
    """Return pairs with the sides that folders further below are named after, if all lie in such; not those of test."""
    sides = [_find_side_of_path(pair.group) for pair in found.pairs]
    if any(pair.split for pair in found.pairs) or not all(sides):
        return found
    kept = tuple(
        replace(pair, split=side) for pair, side in zip(found.pairs, sides, strict=True) if side and side != "test"
    )
    testing = len(sides) - len(kept)
    note = f"left out: {count_words(testing, 'image')} in folders for testing"
    return replace(found, pairs=kept, notes=(*found.notes, *([note] if testing else [])))


def _find_side_of_path(group: str) -> Side:
    sides = [side for part in group.split("/") if (side := find_side(part))]
    return sides[0] if len(sides) == 1 else ""


def _find_divided_below(folder: Path, images: Path, masks: Path) -> tuple[list[Root], list[str]]:
    roots, notes = [], []
    below = _list_folders(masks)
    masks_of = {part.name.lower(): part for part in below} | {part.name: part for part in below}
    for part in _list_folders(images):
        side = find_side(part.name)
        name = part.name if part.name in masks_of else part.name.lower()
        if side and side != "test" and name not in masks_of:
            raise DataError(
                f"{folder}: {name_below(part, folder)} has no {name_below(masks / part.name, folder)} beside it; "
                "divide masks as images are, or neither."
            )
        if side and side != "test":
            roots.append(Root(images=part, masks=masks_of[name], split=side))
        else:
            reason = "which is for testing" if side else "which is neither train nor val"
            notes.append(f"left out: {name_below(part, folder)}, {reason}")
    loose = len(find_images(images)[0])
    if loose:
        notes.append(
            f"left out: {count_words(loose, 'image')} directly in {images.name}/, which is divided into train and val"
        )
    return _require_roots(roots, folder, notes), notes


def _require_roots(roots: list[Root], folder: Path, notes: Sequence[str]) -> list[Root]:
    if not roots:
        raise DataError(
            f"{folder}: only images for testing were found in folders of a split; '{init_command(folder, force=True)}' "
            "looks for others to train on. What was found:",
            notes,
        )
    return roots


def _choose_pair(folder: Path) -> tuple[Path | None, Path | None]:
    pairs = _find_pairs(folder)
    if len(pairs) > 1:
        raise _ambiguous(folder, pairs)
    return pairs[0] if pairs else (None, None)


def _ambiguous(folder: Path, pairs: Sequence[tuple[Path, Path]]) -> DataError:
    told = "; ".join(f"{name_below(images, folder)} and {name_below(masks, folder)}" for images, masks in pairs)
    return DataError(
        f"{folder}: more than one pair of folders may be meant ({told}); move the others away, or say which in a "
        f"dataset.json, which '{init_command(folder)}' begins."
    )


def _find_pairs(folder: Path) -> list[tuple[Path, Path]]:
    below = _list_folders(folder)
    images = _choose_called(below, IMAGE_FOLDERS)
    return list(product(images, _choose_called(below, MASK_FOLDERS))) if images else []


def _choose_called(folders: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """Return the folders of usual names that have images: of masks and Masks both, but no link to another of them."""
    called = [part for name in names for part in folders if part.name.lower() == name and has_images(part)]
    return list({part.resolve(): part for part in reversed(called)}.values())[::-1]


def _list_splits(folder: Path) -> list[Path]:
    return [part for part in _list_folders(folder) if find_side(part.name)]


def _list_folders(folder: Path) -> list[Path]:
    return sorted(part for part in folder.iterdir() if part.is_dir()) if folder.is_dir() else []
