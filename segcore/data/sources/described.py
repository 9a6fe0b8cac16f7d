"""A folder of any layout that a `dataset.json` describes; its form lives in `description`.

    DATA/dataset.json       where images and masks lie, how masks say classes, which classes there are
    DATA/train.txt, ...     optional lists of names, one a line, which the `dataset.json` names

Facts that neither the paths nor the lists say come from `facts`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from unicodedata import normalize

from segcore.counting import count_words
from segcore.data.case import Case, DataSet
from segcore.data.encoding import MaskEncoding
from segcore.data.listing import find_images, list_readings
from segcore.data.names import find_name_fault, has_name, list_first, tell_names
from segcore.data.sources.assembly import show_ends
from segcore.data.sources.description import DESCRIPTION_FILE, Description, read_description
from segcore.data.sources.description_table import build_table
from segcore.data.sources.facts import add_facts
from segcore.data.sources.pairing import NO_GROUP, find_beside, tell_beside
from segcore.data.sources.patterns import FOLDERS, FRAME, NAME, Found, find_files, index_files, list_shared
from segcore.data.sources.split_names import find_side
from segcore.data.texts import read_text
from segcore.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Images and their masks.

    Args:
        pairs: an image and its mask each.
        problems: files that belong to nothing, or cannot be told from others.
        notes: by which patterns, and what was left out.
    """

    pairs: tuple[tuple[Found, Found], ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def is_described(folder: Path) -> bool:
    """Say whether a folder has a `dataset.json`."""
    return has_name(folder / DESCRIPTION_FILE)


def scan_described(folder: Path) -> tuple[DataSet, list[str]]:
    """List the usable cases of a folder that a `dataset.json` describes, and its problems.

    Raises:
        DataError: when the `dataset.json` cannot be used, or nothing fits it.
        OSError: when a folder may not be read.
    """
    description = read_description(folder / DESCRIPTION_FILE)
    files = pair_files(folder, description.images, description.masks)
    problems = list(files.problems)
    if not files.pairs:
        raise DataError(f"{folder}: no image has a mask, by its {DESCRIPTION_FILE}:", show_ends(problems))
    try:
        table = build_table(description, [mask.file for _, mask in files.pairs])
    except DataError as error:
        raise DataError(f"{folder / DESCRIPTION_FILE}: {error.summary}", error.problems) from error
    cases, name_problems = _name(files.pairs, table.encoding)
    cases, split_notes, split_problems = _divide(description, cases, folder)
    known, fact_problems, facts = add_facts(folder, cases)
    problems += [*name_problems, *split_problems, *fact_problems]
    if not known:
        raise DataError(f"{folder}: no image is left to train on, by its {DESCRIPTION_FILE}:", problems or split_notes)
    dataset = DataSet(
        folder=folder,
        layout="described",
        classes=table.classes,
        cases=tuple(known),
        images=tuple(sorted({case.image.parent for case in known})),
        notes=(*files.notes, *table.notes, *split_notes, *facts),
    )
    return dataset, problems


def pair_files(folder: Path, images: str, masks: str) -> Files:
    """Return the images and masks of a folder that belong together.

    What a path puts on the side test is left out.

    Args:
        folder: the data-set folder.
        images: pattern of the images' paths, without fault.
        masks: pattern of the masks' paths, without fault.

    Raises:
        OSError: when a folder may not be read.
    """
    found_images, problems = find_files(folder, images)
    found_masks, mask_problems = find_files(folder, masks)
    problems += mask_problems
    # Side by side, {name}.png fits a_mask.png too: such a file is what the more exact pattern says.
    if len(images) > len(masks):
        found_masks = _without(found_masks, found_images)
    else:
        found_images = _without(found_images, found_masks)
    labelled, notes = _leave_out_sides(found_images, found_masks)
    shared = list_shared(images, masks)
    image_of, image_problems = index_files(labelled, shared)
    mask_of, mask_problems = index_files([one for one in found_masks if not _is_test(one)], shared)
    paired = mask_of.keys() & image_of.keys()
    # In one folder with images they fit the pattern of these.
    shown = find_beside(image_of.keys() - paired, paired)
    beside = find_beside(mask_of.keys() - paired, paired, is_told=True)
    lonely_images = [image_of[key].file for key in image_of if key not in mask_of and key not in shown]
    lonely_masks = [mask_of[key].file for key in mask_of if key not in image_of and key not in beside]
    problems += [*image_problems, *mask_problems]
    problems += [
        f"{file.relative_to(folder)}: no file of {masks} belongs to it; add one, or take the image away"
        for file in lonely_images
    ]
    problems += [
        f"{file.relative_to(folder)}: a mask without an image of {images}; take it away" for file in lonely_masks
    ]
    return Files(
        pairs=tuple((image_of[key], mask_of[key]) for key in image_of if key in mask_of),
        problems=tuple(problems),
        notes=(
            f"files: {images} and {masks}",
            *notes,
            *tell_beside([*beside, *shown]),
            *_tell_unfit(found_images, found_masks),
        ),
    )


def _tell_unfit(images: Sequence[Found], masks: Sequence[Found]) -> list[str]:
    """Say which images lie beside those of a pattern and fit none, where there are some."""
    fitting = {one.file for one in (*images, *masks)}
    folders = sorted({one.file.parent for one in images})
    unfit = [file for folder in folders for file in find_images(folder)[0] if file not in fitting]
    told = count_words(len(unfit), "file beside the images that fits", "files beside the images that fit")
    return [f"left out: {told} neither pattern, such as {unfit[0].name}"] if unfit else []


def _leave_out_sides(images: Sequence[Found], masks: Sequence[Found]) -> tuple[list[Found], list[str]]:
    """Return the images of the sides to train and validate on, without one for which there is no mask, and notes."""
    labelled = [one for one in images if not _is_test(one)]
    testing = len(images) - len(labelled)
    notes = [f"left out: {count_words(testing, 'image')} of the split test"] if testing else []
    masked = {one.said.get("split", "") for one in masks}
    kept = [one for one in labelled if one.said.get("split", "") in masked]
    # Where no side has masks, their paths do not say it, or say it otherwise.
    if not kept or len(kept) == len(labelled):
        return labelled, notes
    bare = sorted({one.said["split"] for one in labelled} - masked)
    return kept, [
        *notes,
        f"left out: {count_words(len(labelled) - len(kept), 'image')} of {list_first(bare)}, which has no masks",
    ]


def _is_test(found: Found) -> bool:
    return find_side(found.said.get("split", "")) == "test"


def _without(some: Sequence[Found], others: Sequence[Found]) -> list[Found]:
    taken = {found.file for found in others}
    return [found for found in some if found.file not in taken]


def _name(pairs: Sequence[tuple[Found, Found]], encoding: MaskEncoding) -> tuple[list[Case], list[str]]:
    """Return a case for each pair, named by all that its path says where the names alone are not different."""
    said = [{**mask.said, **image.said} for image, mask in pairs]
    names = [one[NAME] for one in said]
    if len(set(names)) < len(names):
        names = [_join_facts(one) for one in said]
        names = [name.replace("/", "_") for name in names]
    cases, problems = [], []
    for name, one, (image, mask) in zip(names, said, pairs, strict=True):
        folder = one.get("split", "")
        side = find_side(folder)
        faults = [f"{image.file.name}: {fault}" for text in (name, *one.values()) if (fault := _find_fault(text))]
        if folder and not side:
            faults.append(f"{image.file.name}: {{split}} is {folder!r}; call it train, val or test, or write * there")
        problems += list(dict.fromkeys(faults))
        # What is for testing was left out before.
        if not faults and side != "test":
            case = Case(
                name=name,
                image=image.file,
                mask=mask.file,
                encoding=encoding,
                group=one.get("group") or one.get(FOLDERS) or NO_GROUP,
                condition=one.get("condition", ""),
                frame=int(one[FRAME]) if FRAME in one else None,
                split=side,
            )
            cases.append(case)
    twice = [name for name, times in Counter(case.name for case in cases).items() if times > 1]
    problems += [f"{name!r}: two images have this name; tell them apart by a {{group}} in their path" for name in twice]
    return sorted(cases, key=lambda case: case.name), problems


def _join_facts(said: Mapping[str, str]) -> str:
    """Return all that a path says, its name last; a frame that is in the name once."""
    told = [key for key in sorted(said) if key != NAME and said[key] and (key != FRAME or said[key] not in said[NAME])]
    return "_".join(said[key] for key in (*told, NAME))


def _find_fault(text: str) -> str:
    return find_name_fault(text) if text else ""


def _divide(description: Description, cases: Sequence[Case], folder: Path) -> tuple[list[Case], list[str], list[str]]:
    """Return the cases with the side of the split that lists name, without those of none, notes and problems."""
    if description.splits is None:
        return list(cases), [], []
    side_of: dict[str, Literal["train", "val", "test"]] = {}
    problems = []
    known = frozenset(key for case in cases for key in _list_keys(case, folder))
    for side, path in description.splits.items():
        names = frozenset(_find_key(line, known) for line in _read_list(folder, path))
        problems += [f"{path}: {name!r} stands in another list too; leave it in one" for name in names & side_of.keys()]
        side_of.update(dict.fromkeys(names, side))
    divided: list[Case] = []
    met: set[str] = set()
    for case in cases:
        keys = _list_keys(case, folder)
        sides = list(dict.fromkeys(side_of[key] for key in keys if key in side_of))
        if len(sides) > 1:
            problems.append(f"{case.name}: the lists of {' and '.join(sides)} name it; leave it in one")
        side = sides[0] if sides else "test"
        met.update(keys)
        if side != "test":
            divided.append(replace(case, split=side))
    missing = [name for name, side in side_of.items() if side != "test" and name not in met]
    if missing:
        example = min(case.name for case in cases)
        told = f"that no image with a mask has (one is called {example!r}), to be taken out"
        problems.append(f"splits: {tell_names(f'names {told}', missing, one=f'name {told}')}")
    left_out = len(cases) - len(divided)
    note = f"left out: {count_words(left_out, 'image that is', 'images that are')} on no list of train or val"
    return divided, [note] if left_out else [], problems


def _read_list(folder: Path, path: str) -> list[str]:
    file = folder / path
    if not file.is_file():
        raise DataError(
            f"{file} is no regular file of the data set; {DESCRIPTION_FILE} says that it has the name of an image on "
            "each line."
        )
    try:
        text = read_text(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}); it has the name of an image on each line.") from error
    return [line for line in text.splitlines() if line.strip()]


def _find_key(line: str, known: frozenset[str]) -> str:
    """Return what of a line names an image."""
    readings = list_readings(line)
    return next((text for text in readings if text in known), readings[0])


def _list_keys(case: Case, folder: Path) -> tuple[str, ...]:
    """Return how a list may write a case: its name, or the image's path with or without suffix."""
    path = normalize("NFC", case.image.relative_to(folder).as_posix())
    bare = path.removesuffix(case.image.suffix)
    file = normalize("NFC", case.image.name)
    return case.name, path, bare, file, file.removesuffix(case.image.suffix)
