"""Two sides that have names in common, perhaps images and their masks, and the patterns that say where they lie."""

from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from segcore.data.sources.pairing import IMAGE_ENDINGS, MASK_ENDINGS
from segcore.data.sources.split_names import SPLIT, find_side

_ANY_FOLDERS: Final = "**"

Folder = tuple[str, ...]
Place = tuple[str, Folder, Folder, str]
"""Side of the split, folders above those of images and masks where several have both, folders below, name without its
ending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns:
    """Where images and masks lie.

    Args:
        images: pattern of the images' paths.
        masks: pattern of the masks' paths.
        tests: images with masks in folders for testing that were found beside them, and that neither takes.
    """

    images: str
    masks: str
    tests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Files of a folder, and below it, whose names end alike.

    Args:
        folder: the folder, {split} where it names a side of a split; of those that have one of a name each, the name;
            ** at its end where the folders below it do not matter.
        ending: of the names, before the suffix.
        files: the files by their place below the folder.
    """

    folder: Folder
    ending: str
    files: dict[Place, Path]

    @property
    def fixed(self) -> Folder:
        """The folder without ** at its end."""
        return self.folder[:-1] if self.folder[-1:] == (_ANY_FOLDERS,) else self.folder

    @property
    def is_nested(self) -> bool:
        """Whether files lie in folders below."""
        return any(below for _, _, below, _ in self.files)

    def without_tests(self) -> "Side":
        """Return the side without the files for testing."""
        files = {place: file for place, file in self.files.items() if find_side(place[0]) != "test"}
        return replace(self, files=files)

    def flatten(self) -> "Side":
        """Return the side without the folders below it; of names that several files have, one is left."""
        files: dict[Place, Path] = {
            (split, above, (), name): file for (split, above, _, name), file in self.files.items()
        }
        return replace(self, folder=(*self.folder, _ANY_FOLDERS), files=files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Two sides that have places in common; the first may be the images of the second.

    Args:
        images: the first.
        masks: the second.
    """

    images: Side
    masks: Side

    @property
    def shared(self) -> frozenset[Place]:
        """The places that both have."""
        return frozenset(self.images.files.keys() & self.masks.files.keys())

    @property
    def order(self) -> tuple[int, int]:
        """Less where endings are more usual."""
        return MASK_ENDINGS.index(self.masks.ending), IMAGE_ENDINGS.index(self.images.ending)

    def holds(self, other: "Match") -> bool:
        """Say whether both folders of another match lie in those of this one, or are they."""
        pairs = ((self.images, other.images), (self.masks, other.masks))
        return all(inner.folder[: len(outer.fixed)] == outer.fixed for outer, inner in pairs)

    def without_tests(self) -> "Match":
        """Return the match without the files for testing."""
        return Match(images=self.images.without_tests(), masks=self.masks.without_tests())

    def to_patterns(self) -> Patterns:
        """Return where the files of both sides lie that share a place."""
        above = _write_groups({above for _, above, _, _ in self.shared})
        below = _write_folders({below for _, _, below, _ in self.shared})
        written = []
        for side in (self.images, self.masks):
            suffixes = {side.files[place].suffix.lower() for place in self.shared}
            suffix = suffixes.pop() if len(suffixes) == 1 else ".*"
            written.append("/".join([*above, *side.folder, *below, f"{{name}}{side.ending}{suffix}"]))
        return Patterns(images=written[0], masks=written[1])


def _write_groups(above: Set[Folder]) -> Folder:
    """Return what a pattern says of folders each of which has images and masks: one that differs is a group."""
    if len({len(path) for path in above}) > 1:
        return (_ANY_FOLDERS,)
    differing = [len({*parts}) > 1 for parts in zip(*above, strict=True)]
    if sum(differing) > 1:
        return _write_folders(above)
    return tuple("{group}" if differs else part for part, differs in zip(min(above), differing, strict=True))


def _write_folders(below: Set[Folder]) -> Folder:
    """Return what a pattern says of folders, the sides of a split by name: those for testing would be trained on."""
    if below == {()}:
        return ()
    depths = {path.index(SPLIT) if SPLIT in path else -1 for path in below}
    if len(depths) > 1 or -1 in depths:
        return (_ANY_FOLDERS,)
    (depth,) = depths
    heads, lengths = {path[:depth] for path in below}, {len(path) - depth - 1 for path in below}
    if len(heads) == 1:
        return (*heads.pop(), SPLIT, *(() if lengths == {0} else (_ANY_FOLDERS,)))
    # There may be one ** in a pattern.
    if lengths == {0} or lengths == {1}:
        return (_ANY_FOLDERS, SPLIT, *(("{group}",) if lengths == {1} else ()))
    return (_ANY_FOLDERS,)
