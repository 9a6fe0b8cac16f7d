"""The form of a `dataset.json`, which says everything of a data-set folder of any layout; read strictly.

    {"images": "images/{split}/{name}.jpg",       see `patterns`
     "masks": "masks/{split}/{name}.png",
     "encoding": "index",                         or rgb, or palette: numbers, shown in their palette's colours
     "classes": [{"name": "road", "ids": [7]},    several ids, or "colours" [r, g, b], are one class;
                 {"name": "car", "ids": [26, 27], "rgb": [0, 0, 142]}],  "rgb": its colour in pictures
     "void": [0, 255],                            ids, or colours, that count nowhere
     "ignored": ["road"],                         classes that count nowhere, by name
     "scored": ["car"],                           left out: all but background
     "reduce_zero_label": false,                  true: 0 is void and the ids count from 0 at the masks' 1
     "splits": {"train": "train.txt", "val": "val.txt"}}    lists of names, where the paths do not say it

What the table of classes means for masks says `description_table`; the files are found by `described`.
"""

import difflib
import json
import shlex
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from segcore.data.classes import MOST_CLASSES
from segcore.data.names import list_first, refuse_repeated_keys
from segcore.data.sources.advice import init_command
from segcore.data.sources.patterns import find_mismatch, find_pattern_fault, list_places
from segcore.data.texts import read_text
from segcore.errors import DataError

DESCRIPTION_FILE: Final = "dataset.json"
TO_DO: Final = "TODO_"
"""Begins the name of a class that nobody has named yet."""

_Level = Annotated[int, Field(ge=0, le=255)]
_Colour = tuple[_Level, _Level, _Level]
_Number = Annotated[int, Field(ge=0, le=65535)]
_FORM: Final = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True, kw_only=True, config=_FORM)
class DescribedClass:
    """A class of a `dataset.json`.

    Args:
        name: its name.
        ids: its numbers in masks of numbers.
        colours: its RGB colours in masks of colours.
        rgb: its colour in pictures; None: its first colour, its palette's, or one that is free.
    """

    name: str
    ids: tuple[_Number, ...] = ()
    colours: tuple[_Colour, ...] = ()
    rgb: _Colour | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FORM)
class Description:
    """What a `dataset.json` says.

    Args:
        images: pattern of the images' paths.
        masks: pattern of the masks' paths.
        encoding: how masks say classes.
        classes: the classes, at least one; where none has ids, they are numbered in this order from 0.
        void: ids or colours that count nowhere; None: 255 in masks of numbers, nothing in masks of colours.
        ignored: names of classes whose pixels count nowhere.
        scored: names of the classes that the metric counts; None: all but background.
        reduce_zero_label: whether 0 is void and ids count from 0 at the masks' 1.
        splits: files that list the names of a side of the split.
    """

    images: str
    masks: str
    encoding: Literal["index", "rgb", "palette"]
    classes: tuple[DescribedClass, ...]
    void: tuple[_Number | _Colour, ...] | None = None
    ignored: tuple[str, ...] = ()
    scored: tuple[str, ...] | None = None
    reduce_zero_label: bool = False
    splits: Mapping[Literal["train", "val", "test"], str] | None = None

    @property
    def numbered(self) -> bool:
        """Whether masks hold numbers."""
        return self.encoding != "rgb"


_EXAMPLE: Final = (
    '{"images": "images/{name}.jpg", "masks": "masks/{name}.png", "encoding": "index", "classes": [{"name": "road", '
    '"ids": [7, 8]}, {"name": "car", "ids": [26], "rgb": [0, 0, 142]}], "void": [255]}'
)
_PLACE: Final = "{name}"
_MOST_PROBLEMS: Final = 50
_TOLD_LETTERS: Final = 300
_ADAPTER: Final = TypeAdapter(Description)
_KEYS: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    (): ("images", "masks", "encoding", "classes", "void", "ignored", "scored", "reduce_zero_label", "splits"),
    ("classes",): ("name", "ids", "colours", "rgb"),
    ("splits",): ("train", "val", "test"),
}


def refuse_foreign(file: Path) -> None:
    """Refuse a `dataset.json` of another program, such as nnU-Net, to which it may mean something.

    Args:
        file: which may be damaged, or missing; what has any of our own keys, or a pattern of paths, is ours.

    Raises:
        DataError: naming what it has, and what to do.
    """
    try:
        content = json.loads(read_text(file)) if file.is_file() else None
    except (ValueError, RecursionError, OSError):
        return
    # COCO's files have images too, which are no pattern.
    ours = {*_KEYS[()]} - {"images", "splits"}
    if not isinstance(content, dict) or not content or content.keys() & ours or isinstance(content.get("images"), str):
        return
    # Keys may be misspelt.
    if any(isinstance(value, str) and _PLACE in value for value in content.values()):
        return
    folder = shlex.quote(str(file.parent.resolve()))
    raise DataError(
        f"{file} is another program's: it has {list_first([*map(repr, content)])}, and nothing of this project's form. "
        f"Where that program needs it, link what lies beside it into a new folder and give that: 'mkdir NEW && ln -s "
        f"{folder}/* NEW && rm NEW/{DESCRIPTION_FILE}'; else move it away. Or say which layout the folder has with "
        "--layout, such as pairs."
    )


def read_description(file: Path) -> Description:
    """Read a `dataset.json`.

    Raises:
        DataError: with every problem of the file.
    """
    if not file.is_file():
        raise DataError(f"{file} is no regular file; '{init_command(file.parent)}' writes a first one.")
    refuse_foreign(file)
    try:
        text = read_text(file)
        json.loads(text, object_pairs_hook=refuse_repeated_keys)
        description = _ADAPTER.validate_json(text)
    except ValidationError as error:
        faults = [fault[:_TOLD_LETTERS] for fault in islice(tell_faults(error), _MOST_PROBLEMS - 2)]
        if "images is missing" in faults:
            faults.append("if another program wrote it, say which layout the folder has with --layout, such as pairs")
        faults.append(f"its form is {_EXAMPLE}")
        raise DataError(f"{file} cannot be used:", faults) from None
    except (ValueError, RecursionError, OSError) as error:
        raise DataError(f"{file} cannot be read ({error or type(error).__name__}); its form is {_EXAMPLE}.") from error
    problems = [problem[:_TOLD_LETTERS] for problem in islice(_find_problems(description), _MOST_PROBLEMS)]
    if problems:
        raise DataError(f"{file} cannot be used:", problems)
    return description


def format_description(content: Mapping[str, object]) -> str:
    """Return the text of a `dataset.json` with one class a line, for a person to edit.

    Args:
        content: what it says, by key.
    """
    lines = []
    for key, value in content.items():
        if key == "classes" and isinstance(value, list):
            entries = ",\n".join(f"    {json.dumps(entry, ensure_ascii=False)}" for entry in value)
            lines.append(f'  "classes": [\n{entries}\n  ]')
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def tell_faults(error: ValidationError) -> Iterator[str]:
    """Yield what is not of a form, a line each: its place, its value, the rule."""
    # A value of several types has one problem for each.
    rules: dict[str, list[str]] = {}
    for problem in error.errors():
        place = tuple(part for part in problem["loc"] if not _is_type_name(part))
        if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            yield _tell_unknown(problem["loc"])
        elif problem["loc"][-1:] == ("[key]",):
            yield _tell_unknown(problem["loc"][:-1])
        elif problem["type"] in ("missing", "missing_argument"):
            yield f"{_write(place)} is missing"
        else:
            rules.setdefault(f"{_write(place)} is {problem['input']!r:.60}", []).append(_first_low(problem["msg"]))
    yield from (f"{value}: {', or '.join(dict.fromkeys(texts))}" for value, texts in rules.items())


def _find_problems(description: Description) -> Iterator[str]:
    patterns = {"images": description.images, "masks": description.masks}
    faults = {key: find_pattern_fault(text) for key, text in patterns.items()}
    yield from (f"{key}: {patterns[key]!r:.100} {fault}" for key, fault in faults.items() if fault)
    if description.images == description.masks:
        yield "images and masks are one pattern; let each fit its own files"
    readable = not any(faults.values())
    if readable and (mismatch := find_mismatch(description.images, description.masks)):
        yield mismatch
    if description.splits and readable and any("split" in list_places(text) for text in patterns.values()):
        yield "splits: the paths have {split} already; take one of them out"
    for side, path in (description.splits or {}).items():
        if Path(path).is_absolute() or ".." in Path(path).parts or "\\" in path or not path:
            yield f"splits.{side}: {path!r} is no file below the data set's folder; write its path from there"
    yield from _find_code_problems(description)
    names = {entry.name for entry in description.classes}
    yield from (f"ignored: {name!r} is no class" for name in description.ignored if name not in names)
    ignored = frozenset(description.ignored)
    yield from (
        f"scored: {name!r} is ignored too; take it out of one" for name in description.scored or () if name in ignored
    )
    if names and names <= ignored:
        yield "ignored: every class is; leave those that are to be learnt"
    kept = len(names - ignored)
    if kept > MOST_CLASSES:
        yield f"classes: {kept} are not ignored, and at most {MOST_CLASSES} can be told apart; merge or ignore some"
    if description.reduce_zero_label and not description.numbered:
        yield "reduce_zero_label: masks of colours have no 0; take it out"


def _find_code_problems(description: Description) -> Iterator[str]:
    if not description.classes:
        yield "classes is empty; name at least one"
    wanted, other = ("ids", "colours") if description.numbered else ("colours", "ids")
    for entry in description.classes:
        if getattr(entry, other):
            yield f"classes: {entry.name!r} has {other}, but masks of encoding {description.encoding} have {wanted}"
    without = [entry.name for entry in description.classes if not getattr(entry, wanted)]
    # Numbers may go without saying: they are those of the order.
    if without and (not description.numbered or len(without) < len(description.classes)):
        yield f"classes: without {wanted}: {', '.join(map(repr, without))}; give them, or take the classes out"
    for code in description.void or ():
        if isinstance(code, int) != description.numbered:
            yield f"void: {_show(code)} belongs to another encoding than {description.encoding}; write {wanted}"
    yield from _find_repeated(description, wanted)


def _find_repeated(description: Description, wanted: str) -> Iterator[str]:
    owner: dict[object, str] = {}
    given = [(repr(entry.name), getattr(entry, wanted)) for entry in description.classes]
    for name, codes in (*given, ("void", description.void or ())):
        for code in codes:
            if code in owner:
                owners = f"{owner[code]} and to {name}" if owner[code] != name else f"{name} twice"
                yield f"classes: {_show(code)} belongs to {owners}; leave it to one"
            owner[code] = name


def _tell_unknown(place: tuple[int | str, ...]) -> str:
    known = _KEYS.get(tuple(part for part in place[:-1] if isinstance(part, str)), ())
    near = difflib.get_close_matches(str(place[-1]), known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the keys are {', '.join(known)}"
    return f"{_write(place)} is no key; {hint}"


def _is_type_name(part: int | str) -> bool:
    # Of a union, Pydantic names the type that it tried: int, constrained-int, tuple[...], CocoRuns.
    return isinstance(part, str) and (part in ("int", "constrained-int", "str") or "[" in part or part[:1].isupper())


def _write(place: tuple[Any, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".") or "the file"


def _first_low(text: str) -> str:
    return text[:1].lower() + text[1:]


def _show(code: object) -> str:
    return str(list(code)) if isinstance(code, tuple) else str(code)
