"""Names that stand in a user's files, of classes, groups and conditions: which are refused, and how any is shown.

What a store of results or a file system refuses beyond that is its user's matter.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from segcore.counting import count_words

_LONGEST_NAME: Final = 100
"""Characters."""

_LONGEST_SHOWN: Final = 40
_LONGEST_TOLD: Final = 200
"""No file is called by more than 255 bytes, but a list of names may hold anything."""
_MOST_SHOWN: Final = 5
"""Names in a line that tells of many."""

_CONTROLS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of what moves a cursor, ends a line or is half a character."""

_TURNING: Final = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Its directions of what turns around the letters behind it, so that a name is shown as another."""


def has_name(file: Path) -> bool:
    """Say whether something has a file's name, if only a link that leads nowhere: its owner meant it to be read."""
    return file.exists() or file.is_symlink()


def find_called(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return what in a folder is called by some names, whatever the case of its letters, in the order of the names.

    Raises:
        OSError: when the folder may not be read.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    # Of NAMES.TXT and names.txt the latter comes first.
    for file in sorted(folder.iterdir(), reverse=True):
        found[file.name.lower()].append(file)
    return [file for name in names for file in found.get(name.lower(), ())]


def find_name_fault(name: str) -> str:
    """Say what is wrong with a name and what to do about it; empty when nothing is."""
    shown = f"{name[:_LONGEST_SHOWN]!r}{'...' if len(name) > _LONGEST_SHOWN else ''}"
    if not name.strip():
        return f"{shown} is blank; give it letters"
    if len(name) > _LONGEST_NAME:
        return f"{shown} has {len(name)} characters; use at most {_LONGEST_NAME}"
    if has_controls(name):
        return f"{shown} holds a control character; take it out"
    return ""


def find_equal_names(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield each name that a person cannot tell from an earlier one, after the earlier one."""
    first: dict[str, str] = {}
    for name in names:
        earlier = first.setdefault(unicodedata.normalize("NFKC", name).strip(), name)
        if earlier is not name:
            yield earlier, name


def tell_names(what: str, names: Sequence[str], most: int = _MOST_SHOWN, *, one: str = "") -> str:
    """Say how many names there are of something, and the first few of them.

    Args:
        what: they are.
        names: of it.
        most: names to show.
        one: what a single one is; empty: as several.
    """
    return f"{count_words(len(names), one or what, what)}: {list_first(names, most)}"


def list_first(names: Sequence[str], most: int = _MOST_SHOWN) -> str:
    """Return the first few names in a line, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    shown = (name if len(name) <= _LONGEST_TOLD else f"{name[:_LONGEST_TOLD]}..." for name in names[:most])
    return ", ".join(shown) + more


def find_repeated(values: Iterable[Any]) -> list[Any]:
    """Return what occurs more than once, each once, sorted as texts."""
    return sorted((value for value, times in Counter(values).items() if times > 1), key=str)


def refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of a JSON file, of which Python would keep the last of two equal keys without a word.

    Raises:
        ValueError: naming a key that occurs twice.
    """
    repeated = find_repeated(key for key, _ in pairs)
    if repeated:
        raise ValueError(f"the key {repeated[0]!r} occurs twice in one object")
    return dict(pairs)


def has_controls(text: str) -> bool:
    """Say whether a text holds a character that a terminal obeys instead of showing it."""
    # Of 10,000 names hardly one is looked at letter by letter.
    return not text.isprintable() and any(unicodedata.category(character) in _CONTROLS for character in text)


def show_controls(text: str) -> str:
    r"""Return a text whose control characters are written out, as in \x1b, and what turns letters around, as in \u202e.

    Ends of lines and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(_show(character) for character in text)


def _show(character: str) -> str:
    is_harmful = unicodedata.category(character) in _CONTROLS or unicodedata.bidirectional(character) in _TURNING
    return character.encode("unicode_escape").decode("ascii") if is_harmful and character not in "\n\t" else character
