"""Finds images and their masks in a folder of no known layout, as patterns for a `dataset.json`.

The two folders, or the two kinds of names in one folder, that have most names in common are taken: photographs on one
side, few colours or numbers on the other. Where more than one answer is as good, none is taken.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby, permutations, product
from pathlib import Path
from typing import Final

from segcore.counting import count_words
from segcore.data.decoding import decode_colours, is_blurred_format
from segcore.data.encoding import build_encoding
from segcore.data.listing import name_of, walk_files
from segcore.data.sources.advice import class_masks_command, tell_other_labels
from segcore.data.sources.match import Folder, Match, Patterns, Side
from segcore.data.sources.one_class import tell_ambiguous
from segcore.data.sources.pairing import IMAGE_ENDINGS, MASK_ENDINGS, SHOWN_FOLDERS, cut_ending
from segcore.data.sources.pairs import IMAGE_FOLDERS, MASK_FOLDERS
from segcore.data.sources.patterns import find_files, find_pattern_fault
from segcore.data.sources.split_names import SPLIT, find_stems, put_split
from segcore.errors import DataError

_MOST_FOLDERS: Final = 24
_SAMPLE: Final = 3
_MOST_MASK_COLOURS: Final = 256

_Listed = tuple[tuple[str, Folder], Path]
"""Side of the split and folder of a file, and the file."""


def find_patterns(folder: Path) -> Patterns:
    """Return where the images and masks of a folder lie.

    Args:
        folder: the data-set folder.

    Raises:
        DataError: when nothing in it looks like images and their masks, or several things do.
        OSError: when a folder may not be read.
    """
    parts_of = {file: file.relative_to(folder).parent.parts for file in walk_files(folder)}
    known = {*IMAGE_FOLDERS, *MASK_FOLDERS, *find_stems({part for parts in parts_of.values() for part in parts})}
    files = [(_split_path(parts, known), file) for file, parts in parts_of.items()]
    matches = [*_match_siblings(files), *_match_folders(files)] or list(_match_suffixes(files))
    matches.sort(key=lambda match: len(match.shared), reverse=True)
    for _, group in groupby(matches, key=lambda match: len(match.shared)):
        chosen = _choose(list(group))
        if len(chosen) > 1:
            found = list(map(Match.to_patterns, chosen))
            told = sorted(f"--images '{one.images}' --masks '{one.masks}'" for one in found)
            raise DataError(
                f"{folder}: more than one pair of folders may be meant; say which:",
                [*told, *tell_ambiguous(folder, found)],
            )
        if chosen:
            return _leave_out_tests(folder, chosen[0])
    raise DataError(
        f"{folder}: nothing in it looks like images and masks of the same names; say where they lie, and by {{name}} "
        "what their names share, as in --images 'photos/photo_{name}.jpg' --masks 'truth/{name}_label.png'. If each "
        f"class has masks of its own, such as a_car.png, put them together: {class_masks_command(folder)} --images "
        "'images/{name}.jpg' --masks 'masks/{name}_{class}.png'; of objects, such as a_car_0.png, "
        "'masks/{name}_{class}_*.png'." + tell_other_labels(folder, [file for _, file in files])
    )


def _leave_out_tests(folder: Path, match: Match) -> Patterns:
    """Return where the files of a match lie, without those for testing where others are on no side of a split.

    Raises:
        DataError: when any pattern that takes the others takes these, too: they would be trained on.
    """
    patterns, trained = match.to_patterns(), match.without_tests()
    tests = {match.images.files[place] for place in match.shared - trained.shared}
    if not tests or SPLIT in patterns.images or not trained.shared:
        return patterns
    patterns = trained.to_patterns()
    # What no pattern can name is refused with what to rename.
    if find_pattern_fault(patterns.images):
        return patterns
    taken = sorted(tests & {found.file for found in find_files(folder, patterns.images)[0]})
    if taken:
        raise DataError(
            f"{folder}: {count_words(len(taken), 'image lies in a folder', 'images lie in folders')} for testing, "
            f"{taken[0].relative_to(folder)} first, and {patterns.images} takes what lies there, too, so that it would "
            "be trained on; move such folders away, or give --images and --masks that leave them out."
        )
    return replace(patterns, tests=len(tests))


def _split_path(parts: Sequence[str], known: Collection[str]) -> tuple[str, Folder]:
    """Return the side of the split that a path names, and the path with {split} in its place."""
    for place, part in enumerate(parts):
        side, name = put_split(part, known)
        if side:
            return side, (*parts[:place], name, *parts[place + 1 :])
    return "", tuple(parts)


def _match_folders(files: Sequence[_Listed]) -> Iterator[Match]:
    """Yield every two folders, of which none holds the other, with places in common."""
    counts = Counter(path[:depth] for (_, path), _ in files for depth in range(1, len(path) + 1))
    sides = {root: list(_list_sides(root, files)) for root, _ in counts.most_common(_MOST_FOLDERS)}
    for first, second in permutations(sides, 2):
        shorter = min(len(first), len(second))
        if first[:shorter] != second[:shorter]:
            yield from _match_sides(sides[first], sides[second])
            yield from _match_sides(_flatten(sides[first]), _list_flat(sides[second]))
            yield from _match_sides(_list_flat(sides[first]), _flatten(sides[second]))


def _flatten(sides: Sequence[Side]) -> list[Side]:
    """Return the sides in folders below which no two files have one name, without these folders."""
    flat = [(side, side.flatten()) for side in sides if side.is_nested]
    return [without for side, without in flat if len(without.files) == len(side.files)]


def _list_flat(sides: Sequence[Side]) -> list[Side]:
    return [side for side in sides if not side.is_nested]


def _match_siblings(files: Sequence[_Listed]) -> Iterator[Match]:
    """Yield every two names of folders that lie side by side in several others, with places in common."""
    counts = Counter(name for (_, path), _ in files for name in {*path} - {SPLIT})
    sides = {name: list(_list_own_sides(name, files)) for name, _ in counts.most_common(_MOST_FOLDERS)}
    for first, second in permutations(sides, 2):
        for match in _match_sides(sides[first], sides[second]):
            is_divided = len({above for _, above, _, _ in match.shared}) > 1
            if is_divided and not find_pattern_fault(match.to_patterns().images):
                yield match


def _match_suffixes(files: Sequence[_Listed]) -> Iterator[Match]:
    """Yield every two kinds of files, side by side in the same folders, with places in common."""
    suffixes = sorted({file.suffix.lower() for _, file in files})
    of_suffix = {suffix: [one for one in files if one[1].suffix.lower() == suffix] for suffix in suffixes}
    sides = {suffix: list(_list_sides((), some)) for suffix, some in of_suffix.items()}
    for first, second in product(suffixes, repeat=2):
        for match in _match_sides(sides[first], sides[second]):
            if first != second or match.images.ending != match.masks.ending:
                yield match


def _list_sides(root: Folder, files: Sequence[_Listed]) -> Iterator[Side]:
    """Yield the files of a folder, and below it, by the endings of their names."""
    below = [((side, (), path[len(root) :]), file) for (side, path), file in files if path[: len(root)] == root]
    yield from _divide_by_ending(root, below)


def _list_own_sides(name: str, files: Sequence[_Listed]) -> Iterator[Side]:
    """Yield the files of all folders of a name, and below them, by the endings of their names."""
    within = [(side, path, path.index(name), file) for (side, path), file in files if name in path]
    around = [((side, path[:place], path[place + 1 :]), file) for side, path, place, file in within]
    yield from _divide_by_ending((name,), around)


def _divide_by_ending(folder: Folder, files: Sequence[tuple[tuple[str, Folder, Folder], Path]]) -> Iterator[Side]:
    for ending in dict.fromkeys((*IMAGE_ENDINGS, *MASK_ENDINGS)):
        named = [(around, cut_ending(name_of(file), ending), file) for around, file in files]
        found = {(*around, name): file for around, name, file in named if name is not None}
        if found:
            yield Side(folder=folder, ending=ending, files=found)


def _match_sides(some: Sequence[Side], others: Sequence[Side]) -> Iterator[Match]:
    images = [side for side in some if side.ending in IMAGE_ENDINGS]
    masks = [side for side in others if side.ending in MASK_ENDINGS]
    matches = (Match(images=one, masks=other) for one, other in product(images, masks))
    yield from (match for match in matches if match.shared)


def _choose(matches: Sequence[Match]) -> list[Match]:
    """Return, of equally large matches, the one that looks like images and masks, or those that do."""
    plain = [match for match in matches if not _is_shown(match)] or matches
    likely = [match for match in plain if _shows_photographs(match.images) and not _shows_photographs(match.masks)]
    named = [match for match in likely or plain if _is_named(match)]
    exact: dict[tuple[Folder, Folder], Match] = {}
    for match in sorted(named or likely, key=lambda match: match.order):
        exact.setdefault((match.images.folder, match.masks.folder), match)
    # images/ and masks/ hold what images/train/ and masks/train/ do, and say less of it.
    return [one for one in exact.values() if not any(one is not other and one.holds(other) for other in exact.values())]


def _is_shown(match: Match) -> bool:
    """Say whether a side has pictures of the other's masks, or of their objects."""
    return any(part.lower() in SHOWN_FOLDERS for side in (match.images, match.masks) for part in side.folder)


def _is_named(match: Match) -> bool:
    images, masks = ({part.lower() for part in side.folder} for side in (match.images, match.masks))
    return bool(images & {*IMAGE_FOLDERS} and masks & {*MASK_FOLDERS} and not images & {*MASK_FOLDERS})


def _shows_photographs(side: Side) -> bool:
    files = sorted(side.files.values())
    return any(_is_photograph(file) for file in files[:: max(1, len(files) // _SAMPLE)][:_SAMPLE])


@cache
def _is_photograph(file: Path) -> bool:
    try:
        if is_blurred_format(file):
            return True
        colours_HW3 = decode_colours(file)[::2, ::2]
    except DataError:
        return False
    return len(build_encoding("rgb", {}).count_codes(colours_HW3)) > _MOST_MASK_COLOURS
