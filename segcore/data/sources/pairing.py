"""Finds the mask of each image in two folders: by equal names, or by names with a known ending such as x_mask.png."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final
from unicodedata import normalize

from segcore.counting import count_words
from segcore.data.case import Case, Split
from segcore.data.encoding import MaskEncoding
from segcore.data.listing import name_of, walk_images
from segcore.data.names import find_name_fault

IMAGE_ENDINGS: Final = ("", "_leftImg8bit", "_image", "_img", "_rgb", "_sat", "-image", "_rgb_anon")
MASK_ENDINGS: Final = (
    "", "_mask", "_masks", "-mask", "_label", "_labels", "_gt", "_seg", "_L", "_annot", "_ann", "_target",
    "_labelTrainIds", "_labelIds", "_gtFine_labelTrainIds", "_gtFine_labelIds", "_gtCoarse_labelIds", "_color",
    "_gtFine_color", "_train_id", "_train_color", "_gt_labelTrainIds", "_gt_labelIds", "_gt_labelColor",
    "_gtFine_labelcsTrainIds", "_gtFine_labellevel3Ids", "_gtFine_labelids", "_P", "_bin", "_lab", "_segmentation",
    ".jpg", ".jpeg", ".png",
)  # fmt: skip
"""Of a file's name before its suffix, in the order in which they are preferred; see `cut_ending`."""

SHOWN_ENDINGS: Final = (
    "_color", "_colored", "_labelColor", "_overlay", "_vis", "_inst", "_instance", "_instanceIds", "_instanceTrainIds",
)  # fmt: skip
"""Of pictures of a mask, and of its objects; where another ending stands beside a mask, nobody knows which is meant."""

SHOWN_FOLDERS: Final = (
    "colormaps", "color_labels", "semantic_rgb", "inst", "instance", "instances", "panoptic", "masks_human",
)  # fmt: skip
"""Of such pictures, in BDD100K, KITTI, VIPER and Supervisely; lower case."""

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


def cut_ending(name: str, ending: str) -> str | None:
    """Return a name without an ending, or None where it ends otherwise.

    The case of letters matters for one alone: _l and _r are two cameras, and _L is CamVid's.
    """
    start = len(name) - len(ending)
    found = name[start:] if start >= 0 else ""
    is_it = found == ending or (len(ending) > len("_L") and found.lower() == ending.lower())
    return name[:start] if is_it else None


def find_beside(lonely: Collection[str], paired: Set[str], *, is_told: bool = False) -> list[str]:
    """Return the masks that show another in colours, or its objects, by the ending that their names add to its.

    Args:
        lonely: names of masks without an image of that name.
        paired: names of images with a mask of that name.
        is_told: whether a person has told the names of masks, so that those of other endings are others.
    """
    endings = (*SHOWN_ENDINGS, *(MASK_ENDINGS if is_told else ()))
    bare = {name: [cut_ending(name, ending) for ending in endings] for name in lonely}
    return sorted(name for name in lonely if not paired.isdisjoint(bare[name]))


def tell_beside(beside: Sequence[str]) -> list[str]:
    """Say that what shows other masks is left out, where there is any."""
    return (
        [
            f"left out: {count_words(len(beside), 'file that shows', 'files that show')} "
            f"other masks or objects, such as {beside[0]}"
        ]
        if beside
        else []
    )


def _pair_root(root: Root, endings: Sequence[tuple[str, str]] | None) -> Pairing:
    images, problems = walk_images(root.images)
    masks, mask_problems = walk_images(root.masks)
    problems += mask_problems
    images_by_place = dict(_list_places(root.images, images))
    masks_by_place = dict(_list_places(root.masks, masks))
    image_ending, mask_ending = _choose_endings(images_by_place.keys(), masks_by_place.keys(), endings)
    image_of = _take_ending(images_by_place, image_ending)
    mask_of = _take_ending(masks_by_place, mask_ending)
    notes = []
    if image_ending or mask_ending:
        notes.append(f"names: x{image_ending} in {root.images.name}/ has the mask x{mask_ending} in {root.masks.name}/")
    for folder, others, ending in (
        (root.images, len(images) - len(image_of), image_ending),
        (root.masks, len(masks) - len(mask_of), mask_ending),
    ):
        if others:
            notes.append(
                f"left out: {count_words(others, 'file')} of {folder.name}/ whose names do not end in {ending}"
            )
    beside = find_beside(mask_of.keys() - image_of.keys(), image_of.keys() & mask_of.keys())
    notes += tell_beside(beside)
    for place in beside:
        del mask_of[place]
    problems += [
        f"{file.name}: no mask of that name in {root.masks}{like or '; add it, or take the image away'}"
        for file, like in _missing(image_of, mask_of)
    ]
    problems += [
        f"{file.name}: a mask without an image of that name in {root.images}{like or '; add it, or take the mask away'}"
        for file, like in _missing(mask_of, image_of)
    ]
    pairs = [
        Pair(
            name=place.rpartition("/")[2],
            image=image_of[place],
            mask=mask_of[place],
            group=place.rpartition("/")[0] or NO_GROUP,
            split=root.split,
        )
        for place in sorted(image_of.keys() & mask_of.keys())
    ]
    return Pairing(pairs=tuple(pairs), problems=tuple(problems), notes=tuple(notes))


def _choose_endings(
    images: Collection[str], masks: Collection[str], endings: Sequence[tuple[str, str]] | None
) -> tuple[str, str]:
    """Return the endings of images and of masks, given their paths, by which most have the other."""
    of_images = _list_likely(IMAGE_ENDINGS, images)
    likely = [(some, other) for other in _list_likely(MASK_ENDINGS, masks) for some in of_images]

    def count_pairs(pair: tuple[str, str]) -> int:
        some, other = (
            {cut for place in places if (cut := cut_ending(place, ending)) is not None}
            for places, ending in zip((images, masks), pair, strict=True)
        )
        return len(some & other)

    return max(endings or likely or [("", "")], key=count_pairs)


def _list_likely(endings: Sequence[str], places: Collection[str]) -> list[str]:
    # Endings that a sample lacks need not be tried on all.
    sample = list(islice(places, 0, None, max(1, len(places) // _SAMPLE)))
    return [ending for ending in endings if any(cut_ending(place, ending) is not None for place in sample)]


def _take_ending(files: Mapping[str, Path], ending: str) -> dict[str, Path]:
    """Return files by their path without an ending; those that lack it are left out."""
    # Of two that differ in its case alone the one that has it as it is written is taken.
    ordered = sorted(files.items(), key=lambda listed: listed[0].endswith(ending))
    return {cut: file for place, file in ordered if (cut := cut_ending(place, ending)) is not None}


def _list_places(root: Path, files: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Yield the path of each file below a folder, without suffix and composed, with the file."""
    below: dict[Path, str] = {}
    for file in files:
        folder = file.parent
        if folder not in below:
            below[folder] = "".join(f"{normalize('NFC', part)}/" for part in folder.relative_to(root).parts)
        yield below[folder] + name_of(file), file


def _missing(some: Mapping[str, Path], others: Mapping[str, Path]) -> Iterator[tuple[Path, str]]:
    """Yield the files that lack another, and which other is called almost so, if one is."""
    almost = {_simplify(place): file for place, file in others.items() if place not in some}
    for place, file in some.items():
        if place not in others:
            like = almost.get(_simplify(place))
            yield file, f", but {like.name!r}; give both one name, letter by letter" if like is not None else ""


def _simplify(place: str) -> str:
    return "".join(place.casefold().split())


def _name_apart(pairs: Sequence[Pair]) -> list[Pair]:
    """Name pairs by their folder too where two have one name, and by their side where that is not enough."""
    ways: tuple[Callable[[Pair], str], ...] = (
        lambda pair: pair.name,
        lambda pair: f"{pair.group}/{pair.name}",
        lambda pair: f"{pair.split or 'none'}/{pair.name}",
        lambda pair: f"{pair.split or 'none'}/{pair.group}/{pair.name}",
    )
    for way in ways:
        names = [way(pair).replace("/", "_") for pair in pairs]
        if len(set(names)) == len(names):
            return [replace(pair, name=name) for pair, name in zip(pairs, names, strict=True)]
    return list(pairs)


def _find_equal(pairs: Sequence[Pair]) -> Iterator[Pair]:
    seen: set[str] = set()
    for pair in pairs:
        if pair.name in seen:
            yield pair
        seen.add(pair.name)
