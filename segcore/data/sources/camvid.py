"""CamVid in the three forms in which it is passed around.

    DATA/{train,val}/x.png      DATA/{train,val}annot/x.png             SegNet's: numbers, 11 classes, 11 is void
    DATA/{train,val}/x.png      DATA/{train,val}_labels/x_L.png         Kaggle's: colours of class_dict.csv
    DATA/701_StillsRaw_full/    DATA/LabeledApproved_full/x_L.png       the original: colours of label_colors.txt

A `classes.json` or a list of names says otherwise what masks mean. SegNet's 11 classes are taken where files are called
as CamVid's are: the drive, as 0001TP in 0001TP_006690.png, is a group, and the number a frame. Images for testing are
left out, though they have masks.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from segcore.data.case import DataSet, Split
from segcore.data.classes import VOID, ClassTable, find_class_table
from segcore.data.encoding import build_encoding, encoding_of
from segcore.data.listing import name_of
from segcore.data.sources.assembly import assemble, require_pairs, tell_roots
from segcore.data.sources.colours_file import CLASS_DICT, LABEL_COLOURS, find_colours_file, read_colours
from segcore.data.sources.meaning import Table
from segcore.data.sources.pairing import Pair, Root, pair_roots
from segcore.data.sources.tables import find_table, names_classes
from segcore.errors import DataError

STILLS: Final = "701_StillsRaw_full"
LABELLED: Final = "LabeledApproved_full"

_SIDES: Final[tuple[Split, ...]] = ("train", "val")
_ENDINGS: Final = ("annot", "_labels")
_NAME: Final = re.compile(r"(?P<drive>[0-9A-Za-z]+)_f?(?P<frame>\d+)")
_CAMVID_NAME: Final = re.compile(r"(?:\d{4}|seq\d\d)[0-9A-Z]{2}_.*", re.IGNORECASE)
_NOT_CAMVID: Final = (
    "folders: SegNet's, but files are not called as CamVid's are (0001TP_006690), so its 11 classes are not taken for "
    "theirs: name the classes in a names.txt"
)

_SEGNET_CLASSES: Final = ClassTable(
    names=(
        "sky", "building", "pole", "road", "pavement", "tree", "signsymbol", "fence", "car", "pedestrian", "bicyclist",
    ),
    colours=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0), (192, 128, 128),
        (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
    scored=(
        "sky", "building", "pole", "road", "pavement", "tree", "signsymbol", "fence", "car", "pedestrian", "bicyclist",
    ),
    ids=tuple(range(11)),
)  # fmt: skip
"""The 11 classes that are usually compared."""


def is_camvid(folder: Path) -> bool:
    """Say whether a folder has one of CamVid's layouts."""
    return bool(_find_roots(folder))


def scan_camvid(folder: Path) -> tuple[DataSet, list[str]]:
    """List the usable cases of a folder in one of CamVid's layouts, and its problems.

    Raises:
        DataError: when what names its colours is missing or cannot be used, or a `cases.csv` is not of the form.
        OSError: when a folder may not be read.
    """
    roots = _find_roots(folder)
    found = pair_roots(roots)
    require_pairs(folder, roots, found)
    found = replace(found, pairs=tuple(map(_place_in_drive, found.pairs)))
    table = _find_table(folder, roots, [pair.mask for pair in found.pairs])
    return assemble("camvid", folder, roots, found, table, [*tell_roots(roots, folder), *_tell_left_out(folder, roots)])


def _find_roots(folder: Path) -> list[Root]:
    if (folder / STILLS).is_dir() and (folder / LABELLED).is_dir():
        return [Root(images=folder / STILLS, masks=folder / LABELLED)]
    for ending in _ENDINGS:
        roots = [Root(images=folder / side, masks=folder / f"{side}{ending}", split=side) for side in _SIDES]
        roots = [root for root in roots if root.images.is_dir() and root.masks.is_dir()]
        # Others call folders train_labels too.
        if roots and (ending == "annot" or (folder / CLASS_DICT).is_file()):
            return roots
    return []


def _place_in_drive(pair: Pair) -> Pair:
    match = _NAME.fullmatch(pair.name)
    return pair if match is None else replace(pair, group=match["drive"], frame=int(match["frame"]))


def _find_table(folder: Path, roots: Sequence[Root], masks: Sequence[Path]) -> Table:
    numbered = roots[0].masks.name.endswith("annot")
    if find_class_table(folder) is not None or (numbered and names_classes(folder)):
        return find_table(folder, masks)
    if not numbered:
        return _read_colours(folder, roots[0].masks)
    if all(_CAMVID_NAME.fullmatch(name_of(mask)) for mask in masks):
        return _table_of_segnet()
    # Others have classes of their own in folders of these names.
    table = find_table(folder, masks)
    return replace(table, notes=(*table.notes, _NOT_CAMVID))


def _table_of_segnet() -> Table:
    numbers = {index: index for index in range(len(_SEGNET_CLASSES))}
    return Table(
        classes=_SEGNET_CLASSES,
        encoding=build_encoding("index", {**numbers, len(_SEGNET_CLASSES): VOID, VOID: VOID}),
        notes=("classes: CamVid's 11 of SegNet", "masks: numbers, 11 and 255 are void"),
    )


def _read_colours(folder: Path, masks: Path) -> Table:
    file = find_colours_file(folder) or find_colours_file(masks)
    if file is None:
        raise DataError(
            f"{folder} has no {LABEL_COLOURS} that says what colours mean, in a line such as '64 128 64 Animal' for "
            "each class."
        )
    classes = read_colours(file)
    return Table(
        classes=classes,
        encoding=encoding_of(classes),
        notes=(f"classes: {len(classes)}, named in {file.name}", "masks: colours"),
    )


def _tell_left_out(folder: Path, roots: Sequence[Root]) -> Iterator[str]:
    taken = {root.images.name for root in roots}
    for side in (*_SIDES, "test"):
        if side not in taken and (folder / side).is_dir():
            yield f"left out: {side}/, " + (
                "which is for testing" if side == "test" else "which has no masks beside it"
            )
