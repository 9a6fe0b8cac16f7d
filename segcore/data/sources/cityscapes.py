"""Cityscapes, as its benchmark ships it: fine masks of the official train and val.

    DATA/leftImg8bit/{train,val}/CITY/CITY_SEQUENCE_FRAME_leftImg8bit.png
    DATA/gtFine/{train,val}/CITY/CITY_SEQUENCE_FRAME_gtFine_labelIds.png     or ..._labelTrainIds.png

The classes are the 19 that the benchmark evaluates, all its other labels void, where no classes.json or list of names
says otherwise (see `tables`). A city is a group. The masks of test are dummies, and those of gtCoarse leave borders
out: neither is read.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from segcore.data.case import DataSet, Split
from segcore.data.classes import VOID, ClassTable
from segcore.data.encoding import build_encoding
from segcore.data.sources.advice import init_command
from segcore.data.sources.assembly import assemble, name_below, require_pairs, tell_roots
from segcore.data.sources.kinds import count_codes
from segcore.data.sources.meaning import Table
from segcore.data.sources.pairing import Pair, Pairing, Root, pair_roots
from segcore.data.sources.tables import find_table, names_classes
from segcore.errors import DataError

_IMAGES: Final = "leftImg8bit"
_MASKS: Final = "gtFine"
_COARSE: Final = "gtCoarse"
_IMAGE_ENDING: Final = "_leftImg8bit"
_SIDES: Final[tuple[Split, ...]] = ("train", "val")
_NAME: Final = re.compile(r"(?P<city>.+)_(?P<sequence>\d{6})_(?P<frame>\d{6})")
_FRAMES_OF_A_SEQUENCE: Final = 1_000_000

_NAMES: Final = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip

CITYSCAPES_CLASSES: Final = ClassTable(
    names=_NAMES,
    colours=(
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0),
        (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
    scored=_NAMES,
    ids=(7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33),
)  # fmt: skip
"""The 19 classes that the benchmark evaluates, by its labelIds, in which it takes predictions."""

_LAST_LABEL: Final = 33
_LAST_TRAIN_ID: Final = 18
_SAMPLE: Final = 16
_MOST_VOID: Final = 0.5


def is_cityscapes(folder: Path) -> bool:
    """Say whether a folder has the layout of Cityscapes."""
    return (folder / _IMAGES).is_dir()


def scan_cityscapes(folder: Path) -> tuple[DataSet, list[str]]:
    """List the usable cases of train and val with their fine masks, and the folder's problems.

    Raises:
        DataError: when there are no fine masks, a list of names cannot be used, or a `cases.csv` is not of the form.
        OSError: when a folder may not be read.
    """
    roots = _find_roots(folder)
    fine = any(next(root.masks.rglob("*_labelIds.png"), None) is not None for root in roots)
    ending = "_gtFine_labelIds" if fine else "_gtFine_labelTrainIds"
    found = pair_roots(roots, [(_IMAGE_ENDING, ending)])
    require_pairs(folder, roots, found)
    table = _find_table(folder, found, fine=fine)
    # Beside the numbers of a mask lie its pictures, which nobody misses.
    unread = [note for note in found.notes if note.endswith(_IMAGE_ENDING)]
    found = replace(found, pairs=tuple(map(_place_in_drive, found.pairs)), notes=())
    notes = [*tell_roots(roots, folder), *_tell_left_out(folder, roots), *unread]
    return assemble("cityscapes", folder, roots, found, table, notes)


def _find_roots(folder: Path) -> list[Root]:
    roots = [
        Root(images=folder / _IMAGES / side, masks=folder / _MASKS / side, split=side)
        for side in _SIDES
        if (folder / _IMAGES / side).is_dir()
    ]
    missing = [name_below(root.masks, folder) for root in roots if not root.masks.is_dir()]
    if missing or not roots:
        wanted = " and ".join(missing) or f"{_IMAGES}/train/ or {_IMAGES}/val/"
        raise DataError(
            f"{folder} has no {wanted}; unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip into it. "
            f"Coarse masks ({_COARSE}/) are not read as Cityscapes'; if it is other data in folders of these names, as "
            f"Lost and Found is, '{init_command(folder, force=True)}' describes it."
        )
    return roots


def _place_in_drive(pair: Pair) -> Pair:
    # Snippets of a city lie along one drive: neighbours show one street, though no two are of one second.
    match = _NAME.fullmatch(pair.name)
    if match is None:
        return pair
    frame = int(match["sequence"]) * _FRAMES_OF_A_SEQUENCE + int(match["frame"])
    return replace(pair, group=match["city"], frame=frame)


def _find_table(folder: Path, found: Pairing, *, fine: bool) -> Table:
    # Others have classes of their own in folders of these names.
    if names_classes(folder):
        return find_table(folder, [pair.mask for pair in found.pairs])
    if not fine:
        return _table_of_train_ids()
    for side in _SIDES:
        _require_label_ids(folder, [pair.mask for pair in found.pairs if pair.split == side])
    return _table_of_labels()


def _require_label_ids(folder: Path, masks: Sequence[Path]) -> None:
    """Refuse masks that hold labelTrainIds under the name of labelIds: their roads would be void, their signs roads.

    Raises:
        DataError: when no mask of a sample has a number above 18, as vegetation, sky and cars have, and most is void.
    """
    evaluated, codes = {*CITYSCAPES_CLASSES.ids}, Counter[int]()
    for mask in masks[:: max(1, len(masks) // _SAMPLE)]:
        try:
            codes += count_codes([mask], "index")
        except DataError:
            # Who decodes all masks names it.
            continue
        if codes.keys() & {*range(_LAST_TRAIN_ID + 1, _LAST_LABEL + 1)}:
            return
    if sum(pixels for number, pixels in codes.items() if number not in evaluated) > _MOST_VOID * codes.total():
        raise DataError(
            f"{folder}: masks called ..._gtFine_labelIds.png have no number above {_LAST_TRAIN_ID} but {VOID}, as "
            "vegetation, sky and cars have in labelIds, so they seem to hold labelTrainIds: call them "
            "..._gtFine_labelTrainIds.png, or say in a dataset.json what their numbers mean, which "
            f"'{init_command(folder, force=True)}' begins."
        )


def _table_of_labels() -> Table:
    of_class = {number: index for index, number in enumerate(CITYSCAPES_CLASSES.ids)}
    # The number plate's -1 is 255 in a file.
    void = dict.fromkeys((*range(_LAST_LABEL + 1), VOID), VOID)
    return Table(
        classes=CITYSCAPES_CLASSES,
        encoding=build_encoding("index", void | of_class),
        notes=("classes: Cityscapes' 19, its other labels are void", "masks: numbers, labelIds"),
    )


def _table_of_train_ids() -> Table:
    of_class = {number: number for number in range(len(CITYSCAPES_CLASSES))}
    return Table(
        classes=CITYSCAPES_CLASSES,
        encoding=build_encoding("index", {**of_class, VOID: VOID}),
        notes=("classes: Cityscapes' 19", "masks: numbers, labelTrainIds, 255 is void"),
    )


def _tell_left_out(folder: Path, roots: Sequence[Root]) -> list[str]:
    taken = {root.images.name for root in roots}
    others = sorted(part for part in (folder / _IMAGES).iterdir() if part.is_dir() and part.name not in taken)
    reasons = {"test": "whose masks are dummies", "train_extra": "which has coarse masks only"}
    notes = [
        f"left out: {name_below(part, folder)}, {reasons.get(part.name, 'which is neither train nor val')}"
        for part in others
    ]
    if (folder / _COARSE).is_dir():
        notes.append(f"left out: {_COARSE}/, whose masks leave borders out")
    return notes
