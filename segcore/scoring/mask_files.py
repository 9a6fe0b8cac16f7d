"""Finished masks as files: how `predict` writes them and how `submit` and `score` read them, by one rule.

    MASKS/NAME.png       the classes' colours; where the data's masks hold numbers, those numbers, with the colours as
                         palette. Background has the table's colour for it, or the number of `find_background_number`.
    MASKS/images.json    {"images": {NAME: the image's own file name}, "classes": as in a classes.json}

What a submission is lives in `submission`; comparing masks with the truth in `masks`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.counting import count_words
from segcore.data.classes import VOID, ClassTable, class_table_from_json, class_table_to_json
from segcore.data.colours import Colour
from segcore.data.encoding import MaskEncoding, build_encoding, colour_code, encoding_of
from segcore.data.listing import find_annotations, name_of
from segcore.data.picture_files import save_index_png, save_png, write_whole
from segcore.errors import DataError

Mask = npt.NDArray[np.uint8]

NOTES_FILE: Final = "images.json"

_MOST_TOLD: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskNotes:
    """What `predict` leaves beside its masks.

    Args:
        images: file name of the image of each mask, by the mask's composed name without suffix.
        classes: what the masks tell apart; None: nobody left a note.
    """

    images: dict[str, str] = field(default_factory=dict)
    classes: ClassTable | None = None


def find_background_number(table: ClassTable) -> int:
    """Return the number of background in masks of numbers: 255, or the highest below it that no class has."""
    return next(number for number in range(VOID, -1, -1) if number not in table.ids)


def find_mask_encoding(table: ClassTable) -> MaskEncoding:
    """Return how finished masks are read: as the data's masks that a table describes, background as void."""
    encoding = encoding_of(table)
    background = find_background_number(table) if table.ids else colour_code(table.background_colour)
    return build_encoding(encoding.kind, {background: VOID, **dict(encoding.index_of)})


def save_mask(mask_HW: Mask, file: Path, table: ClassTable) -> None:
    """Write a finished mask as PNG; it appears only when it is complete.

    Args:
        mask_HW: class indices, uint8, 255 as background.
        file: where to write; an existing file is replaced.
        table: the classes; with numbers the file holds these, else colours.

    Raises:
        StorageError: when the file cannot be written.
    """
    palette_N3 = table.palette_N3
    if not table.ids:
        # In the order of channels that a file is encoded from: turned around it is turned back without a copy.
        blue_green_red_HW3 = np.take(palette_N3[:, ::-1], mask_HW, axis=0)
        save_png(blue_green_red_HW3[..., ::-1], file)
        return
    numbers_N = np.full(256, find_background_number(table), np.uint16)
    numbers_N[: len(table)] = table.ids
    colours_of_number = np.zeros((256, 3), np.uint8)
    shown = [index for index in (*range(len(table)), VOID) if numbers_N[index] <= VOID]
    colours_of_number[numbers_N[shown]] = palette_N3[shown]
    save_index_png(numbers_N[mask_HW], colours_of_number, file)


def read_masks(folder: Path, table: ClassTable) -> Iterator[tuple[str, Mask]]:
    """Yield (name, class indices) of each mask in a folder, 255 as background.

    Args:
        folder: a folder of PNG files.
        table: the classes of their colours or numbers.

    Raises:
        DataError: when there is none, or one has unknown colours or numbers.
    """
    masks = find_annotations(folder).masks if folder.is_dir() else {}
    files = {name: file for name, file in masks.items() if file.suffix.lower() == ".png"}
    if not files:
        raise DataError(f"{folder} has no PNG mask; give the folder that 'python -m segcore predict' wrote masks to.")
    encoding = find_mask_encoding(table)
    for name, file in files.items():
        yield name, encoding.decode(file)


def write_mask_notes(folder: Path, images: Sequence[Path], table: ClassTable) -> None:
    """Note beside masks which images they are of, and their classes; what is noted of others in the folder stays.

    Args:
        folder: of the masks.
        images: the images.
        table: the masks' classes.

    Raises:
        DataError: when masks of other classes lie there, or some that nobody noted.
        StorageError: when the file cannot be written.
    """
    known = read_mask_notes(folder)
    if known.classes is None and find_annotations(folder).masks:
        raise DataError(
            f"{folder} holds images that no prediction wrote, perhaps masks to learn from, and they are not written "
            "over; choose another folder."
        )
    if known.classes is not None and _tell_classes(known.classes) != _tell_classes(table):
        raise DataError(f"{folder} holds masks of other classes; choose another folder, or delete those masks.")
    names = {**known.images, **{name_of(image): image.name for image in images}}
    document = {"images": names, "classes": class_table_to_json(table)}
    write_whole(json.dumps(document, indent=1).encode(), folder / NOTES_FILE)


def require_free(folder: Path, images: Sequence[Path], masks: Path) -> None:
    """Refuse a folder of pictures of masks where one would be written over what no prediction wrote.

    Args:
        folder: of the pictures; need not exist.
        images: what is predicted.
        masks: folder of the masks, where `write_mask_notes` noted what was predicted before.

    Raises:
        DataError: naming the first such file.
    """
    there = find_annotations(folder).masks if folder.is_dir() else {}
    mine = there.keys() & map(name_of, images) - read_mask_notes(masks).images.keys()
    if files := sorted(there[name].name for name in mine if there[name].suffix.lower() == ".png"):
        raise DataError(
            f"{folder} holds {files[0]}, which no prediction wrote, and it is not written over; choose another folder."
        )


def require_same_meaning(folder: Path, noted: ClassTable | None, table: ClassTable) -> None:
    """Refuse masks whose colours or numbers are other classes in the data: they would be read as those.

    Args:
        folder: of the masks.
        noted: the classes that the masks were written with; None: nobody left a note.
        table: the classes that they are to be read by.

    Raises:
        DataError: when a colour or number has two names, or nobody noted any and 255 stands where the data has 1.
    """
    if noted is None and folder.is_dir():
        _require_own_number(folder, table)
    names = {} if noted is None else _name_codes(noted, numbers=bool(table.ids))
    differing = [
        f"{code} is {names[code]!r} in the masks and {name!r} in the data"
        for code, name in _name_codes(table, numbers=bool(table.ids)).items()
        if names.get(code, name) != name
    ]
    if differing:
        raise DataError(
            f"{folder} holds masks of other classes than the data's ({'; '.join(differing[:_MOST_TOLD])}); predict "
            f"with a model of these classes, or, where such names mean the same, delete {folder / NOTES_FILE}.",
        )


def _require_own_number(folder: Path, table: ClassTable) -> None:
    """Refuse masks of one class that say 255 where the data says 1: it would count as background."""
    if len(table) != 2 or sorted(table.ids) != [0, 1]:
        return
    encoding = find_mask_encoding(table)
    held = [set(np.unique(encoding.decode(file)).tolist()) for file in find_annotations(folder).masks.values()]
    other, alone = table.ids.index(0), table.ids.index(1)
    # Where one has 1, 255 is void to whoever wrote them.
    if set().union(*held) == {other, VOID}:
        marked = sum(VOID in each for each in held)
        raise DataError(
            f"{folder}: {count_words(marked, 'mask has', 'masks have')} the number 255, which is void, and none has "
            f"1, which is {table.names[alone]!r} in the data; write 1 where 255 stands for it, or 0 where it does not."
        )


def find_unknown_classes(noted: ClassTable | None, table: ClassTable) -> tuple[str, ...]:
    """Return the classes of the data that masks could not hold, by the note beside them."""
    if noted is None:
        return ()
    codes = _name_codes(noted, numbers=bool(table.ids))
    return tuple(name for code, name in _name_codes(table, numbers=bool(table.ids)).items() if code not in codes)


def _name_codes(table: ClassTable, *, numbers: bool) -> dict[int | Colour, str]:
    """Return the class of each number; or of each colour, which a mask of numbers has as its palette."""
    return dict(zip(table.ids if numbers else table.colours, table.names, strict=False))


def _tell_classes(table: ClassTable) -> tuple[tuple[str, ...], MaskEncoding]:
    return table.names, find_mask_encoding(table)


def read_mask_notes(folder: Path) -> MaskNotes:
    """Return what `write_mask_notes` wrote; empty where there is no such file.

    Raises:
        DataError: when it is damaged.
    """
    file = folder / NOTES_FILE
    if not file.exists():
        return MaskNotes()
    try:
        document = json.loads(file.read_text(encoding="utf-8-sig"))
        images = {str(name): str(image) for name, image in document["images"].items()}
        return MaskNotes(images=images, classes=class_table_from_json(document["classes"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, DataError) as error:
        raise DataError(f"{file} cannot be used ({error}); delete it, or predict again.") from error
