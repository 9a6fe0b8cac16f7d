"""Patterns of paths such as `images/{split}/{name}.jpg`: which files of a folder fit, and what their paths say.

    {name}                          what image and mask share; up to the next /
    {group} {condition} {split}     facts that the path tells; written twice, both places say the same
    {frame}                         digits: the frame in the group's video; without a {name}, the file's is the name
    {class}                         of masks of one class each, as `class_masks` puts them together
    *                               any letters but /
    **                              any folders, or none

No pattern leads out of the folder; links in it are followed.
"""

import difflib
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unicodedata import normalize

from segcore.data.listing import name_of, walk_files
from segcore.data.names import has_controls

NAME: Final = "name"
CLASS: Final = "class"
FOLDERS: Final = "folders"
"""What `Found.said` calls the folders that `**` stands for."""

FRAME: Final = "frame"
_FACTS: Final = (NAME, "group", "condition", FRAME, "split")
_PARTS: Final = re.compile(r"(\{[^{}]*\}|\*)")
_WILD: Final = re.compile(r"[{}*]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that fits a pattern.

    Args:
        file: the file.
        said: what its path has in each place of the pattern, by the place's name.
    """

    file: Path
    said: Mapping[str, str]


def find_pattern_fault(text: str, *, of_one_class: bool = False) -> str:
    """Say what is wrong with a pattern and what to write instead; empty when nothing is.

    Args:
        text: the pattern.
        of_one_class: whether it is of masks of one class each, and so has a `{class}`.
    """
    if has_controls(text):
        return "holds a control character or half a letter; rename what is called so"
    parts = text.split("/")
    names = [place[1:-1] for place in _PARTS.findall(text) if place != "*"]
    known = (*_FACTS, CLASS) if of_one_class else _FACTS
    unknown = [name for name in names if name not in known]
    if "\\" in text or text.startswith("/") or re.match(r"[A-Za-z]:", text):
        return "is no path below the data set's folder; write it with / and without a first one"
    if {"", ".", ".."} & set(parts):
        return "has an empty folder name, '.' or '..'; name the folders below the data set's"
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.4)
        return f"has {{{unknown[0]}}}; " + (f"did you mean {{{near[0]}}}?" if near else f"use {_tell(known)}")
    if "{" in _PARTS.sub("", text) or "}" in _PARTS.sub("", text):
        return f"has a brace without its other; use {_tell(known)}"
    if NAME not in names and (FRAME not in names or of_one_class):
        return "lacks {name}, which says what an image and its mask share, as in 'images/{name}.jpg'"
    if of_one_class and CLASS not in names:
        return "lacks {class}, which is the name of a mask's class, as in 'masks/{class}/{name}.png'"
    if any("**" in part and part != "**" for part in parts) or parts.count("**") > 1 or parts[-1] == "**":
        return "may have one ** in the place of a folder, as in 'images/**/{name}.jpg'"
    return ""


def find_mismatch(images: str, masks: str) -> str:
    """Say what keeps images and masks of two patterns without fault from being told to belong together, or nothing.

    Args:
        images: pattern of the images' paths.
        masks: pattern of the masks' paths.
    """
    if {NAME, FRAME} & list_places(images) & list_places(masks):
        return ""
    return f"images {images!r:.100} and masks {masks!r:.100} share neither {{name}} nor {{frame}}; write one in both"


def list_places(text: str) -> frozenset[str]:
    """Return the names of the places of a pattern, `FOLDERS` for `**`."""
    return frozenset(_compile(text).groupindex)


def count_letters(text: str) -> int:
    """Return how many letters a pattern has beside its places: of two that fit a file that with more is more exact."""
    return len(_PARTS.sub("", text))


def find_files(folder: Path, text: str, names: Set[str] = frozenset()) -> tuple[list[Found], list[str]]:
    """Return the image files below a folder that fit a pattern, sorted by path, and what is wrong where none does.

    Links are followed, wherever they lead, as in every other layout.

    Args:
        folder: the data-set folder.
        text: a pattern without fault.
        names: what `{name}` stands for where it can, the longest first: in 'a_b.png' of {name}_{class}.png nothing else
            tells where it ends; none: as much as it can.

    Raises:
        OSError: when a folder may not be read.
    """
    expressions = [_compile(text, length) for length in sorted({*map(len, names)}, reverse=True)]
    whole = _compile(text)
    parts = text.split("/")
    fixed = next((place for place, part in enumerate(parts[:-1]) if _WILD.search(part)), len(parts) - 1)
    start = folder.joinpath(*parts[:fixed])
    fitting = []
    # A Mac writes é as two letters, and whoever wrote the pattern as one.
    for file in walk_files(start if start.is_dir() else folder):
        path = normalize("NFC", file.relative_to(folder).as_posix())
        known = (fit for one in expressions if (fit := one.fullmatch(path)) and fit[NAME] in names)
        fit = next(known, None) or whole.fullmatch(path)
        if fit is not None:
            said = {place: value.strip("/") for place, value in fit.groupdict().items()}
            fitting.append(Found(file=file, said={NAME: name_of(file), **said}))
    if fitting:
        return fitting, []
    return [], [f"{text}: " + ("no image file fits" if start.is_dir() else f"there is no folder {start}")]


def list_shared(images: str, masks: str) -> list[str]:
    """Return the places that two patterns have, the name last."""
    return sorted(list_places(images) & list_places(masks), key=lambda place: (place == NAME, place))


def index_files(files: Sequence[Found], places: Sequence[str]) -> tuple[dict[str, Found], list[str]]:
    """Return files by what their paths have in some places, with / between, and those that have it as another has.

    Args:
        files: which fit a pattern that has the places.
        places: of the pattern.
    """
    found: dict[str, Found] = {}
    problems = []
    for one in files:
        first = found.setdefault("/".join(one.said[place] for place in places), one)
        if first is not one:
            told = " and ".join(f"{{{place}}} {one.said[place]!r}" for place in places)
            problems.append(
                f"{one.file.name}: has {told}, as {first.file.name}; remove one, or write into the pattern what one "
                "alone has"
            )
    return found, problems


def _compile(text: str, length: int = 0) -> re.Pattern[str]:
    """Return the expression of a pattern, whose name has so many letters; 0: as many as it can."""
    seen: set[str] = set()
    parts = text.split("/")
    folders = [f"(?P<{FOLDERS}>(?:[^/]+/)*)" if part == "**" else _translate(part, seen) + "/" for part in parts[:-1]]
    written = "".join(folders) + _translate(parts[-1], seen)
    if length:
        written = written.replace(f"(?P<{NAME}>[^/]+)", f"(?P<{NAME}>[^/]{{{length}}})")
    return re.compile(written, re.IGNORECASE)


def _translate(part: str, seen: set[str]) -> str:
    tokens = [token for token in _PARTS.split(normalize("NFC", part)) if token]
    pieces = [_translate_place(token, seen) for token in tokens]
    for place, (first, between, second) in enumerate(zip(tokens, tokens[1:], tokens[2:], strict=False)):
        if first == second == "*" and not between.startswith("{"):
            # What the second may take need not be tried again with less: many of them would take for ever on one name.
            pieces[place : place + 2] = ["(?>[^/]*?", f"{pieces[place + 1]})"]
    return "".join(pieces)


def _translate_place(token: str, seen: set[str]) -> str:
    if token == "*":
        return "[^/]*"
    if not token.startswith("{"):
        return re.escape(token)
    name = token[1:-1]
    if name in seen:
        return f"(?P={name})"
    seen.add(name)
    if name == FRAME:
        # All digits that stand there, of which neither * nor a name takes some.
        return rf"(?<![0-9])(?P<{name}>[0-9]{{1,18}})(?![0-9])"
    # A name takes what it can: in 'a.b.jpg', {name}.* calls it a.b.
    return f"(?P<{name}>[^/]+)" if name == NAME else f"(?P<{name}>[^/]+?)"


def _tell(places: Sequence[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in places)
