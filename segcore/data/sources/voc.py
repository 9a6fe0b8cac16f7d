"""Pascal VOC's form: images in one folder, masks of some of them in another, lists of which are for what.

    DATA/JPEGImages/x.jpg
    DATA/SegmentationClass/x.png              palette places, 255 is the border; or colours
    DATA/ImageSets/Segmentation/train.txt     a name or a path a line; val.txt, trainval.txt, test.txt

Without lists all images with a mask are taken. What masks mean is said by a classes.json or a file of names (see
`tables`), by the labelmap.txt that CVAT writes, or by VOC's own colours in files that are called as VOC's are.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from segcore.counting import count_words
from segcore.data.case import DataSet, Split
from segcore.data.classes import VOID, ClassTable
from segcore.data.colours import Colour
from segcore.data.encoding import Kind, build_encoding, colour_code, encoding_of
from segcore.data.listing import find_images, list_readings, name_in_list, name_of
from segcore.data.names import find_name_fault
from segcore.data.sources.assembly import assemble, require_pairs, tell_roots
from segcore.data.sources.colours_file import LABEL_MAP, read_colours
from segcore.data.sources.kinds import count_codes, find_kind
from segcore.data.sources.meaning import Table, leave_out_void, read_by
from segcore.data.sources.pairing import NO_GROUP, Pair, Pairing, Root
from segcore.data.sources.split_names import find_side
from segcore.data.sources.tables import find_table, names_classes
from segcore.data.texts import read_text
from segcore.errors import DataError

_IMAGES: Final = "JPEGImages"
_MASKS: Final = ("SegmentationClass", "SegmentationClassPNG", "SegmentationClassRaw", "SegmentationClassAug")
_LISTS: Final = Path("ImageSets") / "Segmentation"

_SPLITS: Final[dict[str, Split]] = {"train": "train", "val": "val", "trainval": ""}
_TEST: Final = "test"
_VOC_NAME: Final = re.compile(r"\d{4}_\d{6}|\d{6}")
_NOT_VOC: Final = (
    "palette: Pascal VOC's, in which other programs draw too; files are not called as VOC's are (2007_000032), so its "
    "21 classes are not taken for theirs: name the classes in a names.txt"
)
_BORDER: Final[Colour] = (224, 224, 192)
_SAMPLE: Final = 16


def voc_colour(place: int) -> Colour:
    """Return the colour of a place in Pascal VOC's palette: the bits of the place, dealt to red, green and blue.

    Args:
        place: 0 to 255.
    """
    red, green, blue = (
        sum((place >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8)) for channel in range(3)
    )
    return red, green, blue


_VOC_NAMES: Final = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

VOC_CLASSES: Final = ClassTable(
    names=_VOC_NAMES,
    colours=tuple(voc_colour(place) for place in range(len(_VOC_NAMES))),
    scored=_VOC_NAMES,
    ids=tuple(range(len(_VOC_NAMES))),
)
"""The 21 classes of Pascal VOC; its benchmark counts the background too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lists:
    side_of: Mapping[str, Split]
    testing: frozenset[str]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def is_voc(folder: Path) -> bool:
    """Say whether a folder has Pascal VOC's form."""
    return (folder / _IMAGES).is_dir() and _find_masks(folder) is not None


def scan_voc(folder: Path) -> tuple[DataSet, list[str]]:
    """List the usable cases of a folder in Pascal VOC's form, and its problems.

    Raises:
        DataError: when what its masks mean cannot be told, or a list or `cases.csv` cannot be used.
        OSError: when a folder may not be read.
    """
    masks = _find_masks(folder)
    assert masks is not None, "it was recognised by them"
    root = Root(images=folder / _IMAGES, masks=masks)
    found = _pair(root, folder / _LISTS)
    require_pairs(folder, [root], found)
    table = _find_table(folder, [pair.mask for pair in found.pairs])
    return assemble("voc", folder, [root], found, table, tell_roots([root], folder))


def _find_masks(folder: Path) -> Path | None:
    # labelme keeps arrays in a folder of the first name.
    found = [folder / name for name in _MASKS if (folder / name).is_dir()]
    return next((masks for masks in found if find_images(masks)[0]), None)


def _pair(root: Root, place: Path) -> Pairing:
    images, problems = find_images(root.images)
    masks, mask_problems = find_images(root.masks)
    image_of, mask_of = ({name_of(file): file for file in files} for files in (images, masks))
    lists = _read_lists(place, image_of.keys(), mask_of.keys())
    names = [name for name in lists.side_of if name in image_of and name in mask_of]
    problems += [*mask_problems, *lists.problems]
    problems += [f"{name}: {root.images.name}/ has no such image" for name in lists.side_of if name not in image_of]
    problems += [
        f"{name}: {root.masks.name}/ has no such mask, though a list names it"
        for name in lists.side_of
        if name in image_of and name not in mask_of
    ]
    problems += [f"{image_of[name].name}: {fault}" for name in names if (fault := find_name_fault(name))]
    pairs = tuple(
        Pair(name=name, image=image_of[name], mask=mask_of[name], group=NO_GROUP, split=lists.side_of[name])
        for name in sorted(names)
    )
    notes = (*lists.notes, *_tell_left_out(root, image_of, mask_of, lists))
    return Pairing(pairs=pairs, problems=tuple(problems), notes=notes)


def _read_lists(place: Path, images: Collection[str], masked: Collection[str]) -> _Lists:
    names: dict[str, list[str]] = {}
    for file in sorted(place.glob("*.txt")):
        if file.is_file():
            # CVAT calls them Train.txt and Validation.txt.
            title = find_side(file.stem) or file.stem.lower()
            names.setdefault(title, []).extend(_find_name(line, images) for line in _read_list(file))
    testing = frozenset(names.get(_TEST, ()))
    divided = "train" in names or "val" in names
    taken = [title for title in names if (title in _SPLITS if divided else title != _TEST)]
    # Of trainval and the like, what train or val names too is on their side.
    taken.sort(key=lambda title: (not _SPLITS.get(title, ""), title))
    side_of: dict[str, Split] = {} if taken else dict.fromkeys(sorted({*masked} - testing), "")
    for title in taken:
        for name in names[title]:
            side_of.setdefault(name, _SPLITS.get(title, ""))
    notes = [f"lists: {', '.join(f'{title}.txt' for title in taken) or 'none; all images with a mask are taken'}"]
    others = [f"{title}.txt" for title in names if title not in taken and title != _TEST]
    return _Lists(
        side_of=side_of,
        testing=testing - side_of.keys(),
        problems=tuple(_find_doubles(names)),
        notes=(*notes, *([f"left out: what only {', '.join(others)} name"] if others else [])),
    )


def _find_doubles(names: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for one, other in (("train", "val"), ("train", _TEST), ("val", _TEST)):
        for name in sorted({*names.get(one, ())} & {*names.get(other, ())}):
            yield f"{name}: {one}.txt and {other}.txt both name it; take it out of one"


def _find_name(line: str, images: Collection[str]) -> str:
    """Return the name of the image that a line means, which may be written as a path."""
    names = (name_in_list(text.rpartition("/")[2]) for text in list_readings(line))
    return next((name for name in names if name in images), name_in_list(line))


def _read_list(file: Path) -> list[str]:
    try:
        lines = read_text(file).splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}); it has the name of an image on each line.") from error
    return [line for line in lines if line.strip()]


def _tell_left_out(
    root: Root, image_of: Mapping[str, Path], mask_of: Mapping[str, Path], lists: _Lists
) -> Iterator[str]:
    unlisted = mask_of.keys() - lists.side_of.keys() - lists.testing
    unmasked = image_of.keys() - mask_of.keys() - lists.side_of.keys() - lists.testing
    if lists.testing:
        yield f"left out: {count_words(len(lists.testing), 'image')} of {_TEST}.txt, which is for testing"
    if unlisted:
        yield f"left out: {count_words(len(unlisted), 'mask')} of {root.masks.name}/ that no list names"
    if unmasked:
        yield f"left out: {count_words(len(unmasked), 'image')} of {root.images.name}/ without a mask"


def _find_table(folder: Path, masks: Sequence[Path]) -> Table:
    if names_classes(folder):
        return find_table(folder, masks)
    kind, palette = find_kind(masks)
    if (folder / LABEL_MAP).is_file():
        return leave_out_void(read_by(read_colours(folder / LABEL_MAP), kind, palette, LABEL_MAP, masks), masks)
    if all(_VOC_NAME.fullmatch(name_of(mask)) for mask in masks) and (own := _read_as_voc(masks, kind, palette)):
        return own
    table = find_table(folder, masks)
    return replace(table, notes=(*table.notes, _NOT_VOC)) if _has_palette(palette) else table


def _read_as_voc(masks: Sequence[Path], kind: Kind, palette: Sequence[Colour]) -> Table | None:
    # labelme and others draw any classes in VOC's colours, so files have to be called as VOC's are.
    if kind == "index" and _has_palette(palette):
        said = "masks: palette files, read by their places; 255 is the border, void"
        encoding = replace(encoding_of(VOC_CLASSES), palette=tuple(palette))
    elif kind == "rgb" and count_codes(masks[:: max(1, len(masks) // _SAMPLE)], kind).keys() <= _VOC_CODES.keys():
        said = f"masks: VOC's colours; {_BORDER} is the border, void"
        encoding = build_encoding("rgb", _VOC_CODES)
    else:
        return None
    return Table(classes=VOC_CLASSES, encoding=encoding, notes=("classes: Pascal VOC's 21, by its palette", said))


def _has_palette(palette: Sequence[Colour]) -> bool:
    return tuple(palette[: len(VOC_CLASSES)]) == VOC_CLASSES.colours


_VOC_CODES: Final = {
    **{colour_code(colour): index for index, colour in enumerate(VOC_CLASSES.colours)},
    colour_code(_BORDER): VOID,
}
