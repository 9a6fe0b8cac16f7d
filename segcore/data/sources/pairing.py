"""Finds the mask of each image in two folders: by equal names, or by names with a known ending such as x_mask.png."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from unicodedata import normalize

from segcore.data.case import Case, Split
from segcore.data.encoding import MaskEncoding
from segcore.data.listing import name_of, walk_images
from segcore.data.names import find_name_fault

IMAGE_ENDINGS: Final = ("", "_leftImg8bit", "_image", "_img", "_rgb", "_sat", "-image")
MASK_ENDINGS: Final = (
    "", "_mask", "_masks", "-mask", "_label", "_labels", "_gt", "_seg", "_L", "_annot", "_ann", "_target",
    "_labelTrainIds", "_labelIds", "_gtFine_labelTrainIds", "_gtFine_labelIds", "_gtCoarse_labelIds", "_color",
)  # fmt: skip
"""Of a file's name before its suffix, in the order in which they are preferred."""

NO_GROUP: Final = "all"
"""Group of images that lie in no folder of their own."""

_SAMPLE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """Two folders that belong together.

    Args:
        images: folder of images.
        masks: folder of their masks, built alike below.
        split: side of the split that the folders are.
    """

    images: Path
    masks: Path
    split: Split = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An image and its mask.

    Args:
        name: what both are called, without suffix and ending.
        image: the image's file.
        mask: the mask's file.
        group: the folder that they lie in.
        split: side of the split that they are on.
        frame: place in the group's drive, if it is known.
    """

    name: str
    image: Path
    mask: Path
    group: str
    split: Split = ""
    frame: int | None = None

    def to_case(self, encoding: MaskEncoding) -> Case:
        """Return the case of which nothing else is known."""
        return Case(
            name=self.name,
            image=self.image,
            mask=self.mask,
            encoding=encoding,
            group=self.group,
            frame=self.frame,
            split=self.split,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Images and their masks.

    Args:
        pairs: one for each image with a mask, by name.
        problems: images without a mask, masks without an image, names that cannot be used.
        notes: what was left out, and by which endings names were matched.
    """

    pairs: tuple[Pair, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def pair_roots(roots: Sequence[Root], endings: Sequence[tuple[str, str]] | None = None) -> Pairing:
    """Pair the images and masks of some folders.

    Args:
        roots: folders of images and of masks.
        endings: of images and of masks, one of which all names have; None: all that are known.

    Raises:
        OSError: when a folder may not be read.
    """
    pairs: list[Pair] = []
    problems: list[str] = []
    notes: list[str] = []
    for root in roots:
        found = _pair_root(root, endings)
        pairs += found.pairs
        problems += found.problems
        notes += found.notes
    named = _name_apart(pairs)
    problems += [
        f"{pair.image}: has the name of another image, {pair.name!r}; rename one" for pair in _find_equal(named)
    ]
    problems += [f"{pair.image.name}: {fault}" for pair in named if (fault := find_name_fault(pair.name))]
    return Pairing(
        pairs=tuple(sorted(named, key=lambda pair: pair.name)),
        problems=tuple(problems),
        notes=tuple(dict.fromkeys(notes)),
    )


def _pair_root(root: Root, endings: Sequence[tuple[str, str]] | None) -> Pairing:
    images, problems = walk_images(root.images)
    masks, mask_problems = walk_images(root.masks)
    problems += mask_problems
    image_ending, mask_ending = _choose_endings(root, images, masks, endings)
    image_of = _by_place(root.images, images, image_ending)
    mask_of = _by_place(root.masks, masks, mask_ending)
    notes = []
    if image_ending or mask_ending:
        notes.append(f"names: x{image_ending} in {root.images.name}/ has the mask x{mask_ending} in {root.masks.name}/")
    for folder, others, ending in (
        (root.images, len(images) - len(image_of), image_ending),
        (root.masks, len(masks) - len(mask_of), mask_ending),
    ):
        if others:
            notes.append(f"left out: {others} files of {folder.name}/ whose names do not end in {ending}")
    problems += [f"{file.name}: no mask of that name in {root.masks}" for file in _missing(image_of, mask_of)]
    problems += [
        f"{file.name}: a mask without an image of that name in {root.images}" for file in _missing(mask_of, image_of)
    ]
    pairs = [
        Pair(
            name=name_of(image_of[place]).removesuffix(image_ending),
            image=image_of[place],
            mask=mask_of[place],
            group=Path(place).parent.as_posix() if "/" in place else NO_GROUP,
            split=root.split,
        )
        for place in sorted(image_of.keys() & mask_of.keys())
    ]
    return Pairing(pairs=tuple(pairs), problems=tuple(problems), notes=tuple(notes))


def _choose_endings(
    root: Root, images: Sequence[Path], masks: Sequence[Path], endings: Sequence[tuple[str, str]] | None
) -> tuple[str, str]:
    image_places, mask_places = list(_list_places(root.images, images)), list(_list_places(root.masks, masks))
    likely = [
        (some, other) for other in _likely(MASK_ENDINGS, mask_places) for some in _likely(IMAGE_ENDINGS, image_places)
    ]

    def count_pairs(pair: tuple[str, str]) -> int:
        some, other = (
            {place.removesuffix(ending) for place in places if place.endswith(ending)}
            for places, ending in zip((image_places, mask_places), pair, strict=True)
        )
        return len(some & other)

    return max(endings or likely or [("", "")], key=count_pairs)


def _likely(endings: Sequence[str], places: Sequence[str]) -> list[str]:
    # Endings that a sample lacks need not be tried on all.
    sample = places[:: max(1, len(places) // _SAMPLE)]
    return [ending for ending in endings if any(place.endswith(ending) for place in sample)]


def _by_place(root: Path, files: Sequence[Path], ending: str) -> dict[str, Path]:
    """Return files by their path below a folder, without suffix and ending; those of another ending are left out."""
    places = zip(_list_places(root, files), files, strict=True)
    return {place.removesuffix(ending): file for place, file in places if place.endswith(ending)}


def _list_places(root: Path, files: Sequence[Path]) -> Iterator[str]:
    """Yield the path of each file below a folder without suffix, composed."""
    below: dict[Path, str] = {}
    for file in files:
        if file.parent not in below:
            parts = file.parent.relative_to(root).parts
            below[file.parent] = "".join(f"{normalize('NFC', part)}/" for part in parts)
        yield f"{below[file.parent]}{name_of(file)}"


def _missing(some: Mapping[str, Path], others: Mapping[str, Path]) -> Iterator[Path]:
    return (file for place, file in some.items() if place not in others)


def _name_apart(pairs: Sequence[Pair]) -> list[Pair]:
    """Name pairs by their folder too where two have one name, and by their side where that is not enough."""
    by_folder = [replace(pair, name=f"{pair.group}/{pair.name}".replace("/", "_")) for pair in pairs]
    by_side = [replace(pair, name=f"{pair.split or 'none'}_{pair.name}") for pair in pairs]
    by_both = [replace(pair, name=f"{pair.split or 'none'}_{pair.name}") for pair in by_folder]
    ways = (list(pairs), by_folder, by_side, by_both)
    return next((way for way in ways if not any(_find_equal(way))), list(pairs))


def _find_equal(pairs: Sequence[Pair]) -> Iterator[Pair]:
    seen: set[str] = set()
    for pair in pairs:
        if pair.name in seen:
            yield pair
        seen.add(pair.name)
