"""Images and masks in two folders, as most people have them, whole or divided into train and val.

    DATA/images/a.jpg            DATA/masks/a.png          or img_dir/ann_dir, JPEGImages/SegmentationClass, ...
    DATA/images/train/a.jpg      DATA/masks/train/a.png    the same, divided
    DATA/train/images/a.jpg      DATA/train/masks/a.png    the same, divided first

Below, folders may be nested; names may end as in `pairing`. What masks mean is found in `tables`, facts in `facts`.
"""

from itertools import product
from pathlib import Path
from typing import Final

from segcore.data.case import DataSet, Split
from segcore.data.listing import walk_images
from segcore.data.sources.facts import add_facts
from segcore.data.sources.pairing import Root, pair_roots
from segcore.data.sources.tables import find_table
from segcore.errors import DataError

IMAGE_FOLDERS: Final = ("images", "image", "imgs", "img", "img_dir", "jpegimages", "rgb", "inputs", "input")
MASK_FOLDERS: Final = (
    "masks", "mask", "labels", "label", "ann_dir", "annotations", "annotation", "annot", "segmentationclass", "gt",
    "ground_truth", "groundtruth", "targets", "target",
)  # fmt: skip
"""Lower case; letters' case does not matter."""

SPLIT_OF_FOLDER: Final[dict[str, Split]] = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
}  # fmt: skip
TEST_FOLDERS: Final = ("test", "testing")


def is_pairs(folder: Path) -> bool:
    """Say whether a folder has images and masks in two folders of usual names."""
    return bool(_find_pairs(folder)) or any(_find_pairs(part) for part in _list_splits(folder))


def scan_pairs(folder: Path) -> tuple[DataSet, list[str]]:
    """List the usable cases of a folder of pairs, and its problems.

    Raises:
        DataError: when its folders or what its masks mean cannot be told.
        OSError: when a folder may not be read.
    """
    roots, notes = _find_roots(folder)
    found = pair_roots(roots)
    if not found.pairs:
        raise DataError(f"{folder}: no image of {_name(roots[0].images, folder)} has a mask:", found.problems)
    table = find_table(folder, [pair.mask for pair in found.pairs])
    cases, problems, facts = add_facts(folder, [pair.to_case(table.encoding) for pair in found.pairs])
    dataset = DataSet(
        folder=folder,
        layout="pairs",
        classes=table.classes,
        cases=tuple(cases),
        images=tuple(root.images for root in roots),
        notes=(*notes, *found.notes, *table.notes, *facts),
    )
    return dataset, [*found.problems, *problems]


def _find_roots(folder: Path) -> tuple[list[Root], list[str]]:
    images, masks = _choose_pair(folder)
    if images is not None and masks is not None:
        parts = _list_splits(images)
        if not parts:
            return [Root(images=images, masks=masks)], [f"folders: {images.name}/ and {masks.name}/"]
        pairs = [(part.name.lower(), part, masks / part.name) for part in parts]
    else:
        pairs = [
            (part.name.lower(), images, masks)
            for part in _list_splits(folder)
            for images, masks in [_choose_pair(part)]
            if images is not None and masks is not None
        ]
    roots, notes = [], []
    for side, images, masks in pairs:
        if side in SPLIT_OF_FOLDER and masks.is_dir():
            roots.append(Root(images=images, masks=masks, split=SPLIT_OF_FOLDER[side]))
            notes.append(f"folders: {_name(images, folder)} and {_name(masks, folder)}")
        elif side in SPLIT_OF_FOLDER:
            raise DataError(f"{folder}: {_name(images, folder)} has no {_name(masks, folder)} beside it.")
        else:
            notes.append(f"left out: {_name(images, folder)}, which is for testing")
    if not roots:
        raise DataError(f"{folder}: only images for testing were found; give images and masks to train on.")
    return roots, notes


def _choose_pair(folder: Path) -> tuple[Path | None, Path | None]:
    pairs = _find_pairs(folder)
    if len(pairs) > 1:
        told = "; ".join(f"{images.name}/ and {masks.name}/" for images, masks in pairs)
        raise DataError(
            f"{folder}: more than one pair of folders may be meant ({told}); move the others away, or say which in a "
            f"dataset.json, which 'python -m segcore init {folder}' begins."
        )
    return pairs[0] if pairs else (None, None)


def _find_pairs(folder: Path) -> list[tuple[Path, Path]]:
    below = {part.name.lower(): part for part in folder.iterdir() if part.is_dir()} if folder.is_dir() else {}
    images = [below[name] for name in IMAGE_FOLDERS if name in below and _has_images(below[name])]
    masks = [below[name] for name in MASK_FOLDERS if name in below and _has_images(below[name])]
    return list(product(images, masks))


def _list_splits(folder: Path) -> list[Path]:
    known = (*SPLIT_OF_FOLDER, *TEST_FOLDERS)
    return sorted(part for part in folder.iterdir() if part.is_dir() and part.name.lower() in known)


def _has_images(folder: Path) -> bool:
    # Boxes and outlines have their folder of labels too, of text files.
    return bool(walk_images(folder)[0])


def _name(folder: Path, root: Path) -> str:
    return f"{folder.relative_to(root).as_posix()}/"
