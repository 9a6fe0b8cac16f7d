"""A COCO file of outlined objects: reading it strictly, and the class table that its categories become.

Outlines as pixels live in `shapes`, writing a data set in `conversion`.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from segcore.counting import count_words
from segcore.data.classes import BACKGROUND, MOST_CLASSES, VOID, is_background, is_called_void
from segcore.data.decoding import IMAGE_SUFFIXES
from segcore.data.names import find_equal_names, find_name_fault, find_repeated
from segcore.data.sources.description import tell_faults
from segcore.errors import DataError

_FORM: Final = ConfigDict(extra="ignore", allow_inf_nan=False)
_MOST_PROBLEMS: Final = 50
_Length = Annotated[int, Field(ge=0)]
Identity = int | str
"""A number, or what else a program numbers things by, such as a UUID."""


def _read_length(value: object) -> object:
    # VIA writes -1 of an image that it did not show.
    return 0 if value in (None, -1) else value


def _read_flag(value: object) -> object:
    # COCO Annotator writes true and false.
    return int(bool(value)) if value is None or isinstance(value, bool) else value


def _read_identity(identity: int | str) -> int | str:
    """Return a number that is written as a text as the number that others of the file may write."""
    return int(identity) if isinstance(identity, str) and identity.isdecimal() else identity


def _list_parts(outline: object) -> object:
    """Return an outline as its parts, where it is one: runs, or a polygon."""
    is_polygon = isinstance(outline, list) and outline and not isinstance(outline[0], list | dict)
    return [outline] if isinstance(outline, dict) or is_polygon else outline


_Identity = Annotated[Identity, AfterValidator(_read_identity)]


def _unify_path(name: str) -> str:
    """Return a file's name as others write it who made the file on Windows, or with a dot for the folder."""
    return name.replace("\\", "/").removeprefix("./")


@dataclass(frozen=True, slots=True, kw_only=True, config=_FORM)
class CocoRuns:
    """An object's pixels as runs, see `shapes`."""

    size: tuple[int, int]
    counts: tuple[_Length, ...] | str


@dataclass(frozen=True, slots=True, kw_only=True, config=_FORM)
class CocoImage:
    """An image of a COCO file; sizes in pixels, 0 where the file does not say it."""

    id: _Identity
    file_name: Annotated[str, AfterValidator(_unify_path)]
    height: Annotated[_Length, BeforeValidator(_read_length)] = 0
    width: Annotated[_Length, BeforeValidator(_read_length)] = 0


@dataclass(frozen=True, slots=True, kw_only=True, config=_FORM)
class CocoCategory:
    """A category of a COCO file."""

    id: _Identity
    name: str


@dataclass(frozen=True, slots=True, kw_only=True, config=_FORM)
class CocoObject:
    """An annotation of a COCO file: an object, or, with `iscrowd`, an area of objects that were not outlined singly.

    Programs leave such as were drawn and deleted, without outline and with an area of 0.
    """

    image_id: _Identity
    category_id: _Identity
    segmentation: Annotated[tuple[tuple[float, ...] | CocoRuns, ...] | None, BeforeValidator(_list_parts)] = None
    id: _Identity | None = None
    iscrowd: Annotated[Literal[0, 1], BeforeValidator(_read_flag)] = 0
    area: object = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FORM)
class CocoFile:
    """What a COCO file says."""

    images: tuple[CocoImage, ...]
    annotations: tuple[CocoObject, ...]
    categories: tuple[CocoCategory, ...]

    @property
    def number_of_category(self) -> dict[Identity, int]:
        """The number in masks of each category by its id: from 1 in the order of ids, 0 for one called background.

        One that is called void, unlabelled or ignore has that of what counts nowhere.

        Ids that are no numbers come in the file's order behind those that are.

        Of two of one name at most one has objects; both have one number.
        """
        texts = [one for one in self.categories if isinstance(one.id, str)]
        numbered = [(one.id, one) for one in self.categories if isinstance(one.id, int)]
        ordered = [*(one for _, one in sorted(numbered, key=lambda pair: pair[0])), *texts]
        names = dict.fromkeys(one.name for one in ordered)
        classes = [name for name in names if not is_background(name) and not is_called_void(name)]
        number_of = {name: number for number, name in enumerate(classes, start=1)}
        return {one.id: VOID if is_called_void(one.name) else number_of.get(one.name, 0) for one in ordered}

    @property
    def names(self) -> dict[int, str]:
        """The class name of each number in masks."""
        name_of = {one.id: one.name for one in self.categories}
        numbers = self.number_of_category
        named = {numbers[identity]: name for identity, name in name_of.items() if not is_called_void(name)}
        return {0: BACKGROUND} | {number: name for number, name in named.items() if number}

    @property
    def void(self) -> tuple[str, ...]:
        """The names of categories that count nowhere."""
        return tuple(dict.fromkeys(one.name for one in self.categories if is_called_void(one.name)))


_ADAPTER: Final = TypeAdapter(CocoFile)


def read_coco(file: Path) -> CocoFile:
    """Read a COCO file of outlined objects.

    Raises:
        DataError: with every problem of the file.
    """
    try:
        text = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
        _require_single_keys(text, file)
        content = _ADAPTER.validate_json(text)
    except ValidationError as error:
        faults = tell_first(list(tell_faults(error)))
        if any(".segments_info" in fault or ".category_id is missing" in fault for fault in faults):
            faults.append("of COCO's files only those of outlined objects are read, as instances_val2017.json is")
        if {"images is missing", "annotations is missing"} <= {*faults}:
            faults.append("it is no COCO file: labelme's labelme2coco makes one, CVAT and Label Studio export one")
        raise DataError(f"{file} cannot be used:", faults) from None
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror or error}); give a COCO file, .json.") from error
    problems = tell_first(list(_find_problems(content)))
    if problems:
        raise DataError(f"{file} cannot be used:", problems)
    return content


def tell_first(problems: Sequence[str]) -> list[str]:
    """Return so many problems as a person reads, and how many more there are."""
    more = len(problems) - _MOST_PROBLEMS
    return [*problems[:_MOST_PROBLEMS], *([f"and {more:,} more"] if more > 0 else [])]


def _require_single_keys(text: bytes, file: Path) -> None:
    """Refuse a file in which a key stands twice in one object, of which the first would be lost.

    Raises:
        DataError: naming the key.
    """

    def drop(pairs: list[tuple[str, Any]]) -> None:
        # What is looked at is not kept: such a file may have a million objects.
        if len({key for key, _ in pairs}) < len(pairs):
            (key, *_) = find_repeated(key for key, _ in pairs)
            raise DataError(
                f"{file} cannot be used: the key {key!r:.60} stands twice in one object, so only what stands behind "
                "the last would be read; join them into one."
            )

    # Whoever reads it next says what else is no JSON in it.
    with suppress(ValueError, RecursionError):
        json.loads(text, object_pairs_hook=drop)


def _find_problems(content: CocoFile) -> Iterator[str]:
    yield from (f"images: two have the id {identity}" for identity in find_repeated(one.id for one in content.images))
    yield from (f"categories: two have the id {one}" for one in find_repeated(one.id for one in content.categories))
    used = {one.category_id for one in content.annotations}
    # Roboflow has the project as a category without objects, and often one of its name with them.
    for name in find_repeated(one.name for one in content.categories if one.id in used):
        yield f"categories: two with objects are called {name!r}; rename one, or give their objects one category_id"
    yield from (f"categories: {fault}" for one in content.categories if (fault := find_name_fault(one.name)))
    for first, second in find_equal_names(tuple(content.names.values())):
        yield f"categories: {first!a} and {second!a} look alike; rename one, or give their objects one category_id"
    if not content.images:
        yield "images is empty"
    classes = len(content.names)
    if not 2 <= classes <= MOST_CLASSES:
        told = count_words(classes, "class", "classes")
        advice = "merge or take out categories" if classes > MOST_CLASSES else "add the category that is to be learnt"
        yield f"{told} with {BACKGROUND}: a data set has 2 to {MOST_CLASSES}; {advice}"
    images, categories = {one.id for one in content.images}, {one.id for one in content.categories}
    yield from _find_stray(content, "image_id", images)
    yield from _find_stray(content, "category_id", categories)
    yield from (f"image {one.id}: {fault}" for one in content.images if (fault := _find_file_fault(one.file_name)))
    if _are_shares(content):
        yield (
            "annotations: no outline leads beyond (1, 1); outlines are in pixels from the upper left corner, not in "
            "shares of width and height: multiply them by the image's"
        )
    bare = (PurePosixPath(one.file_name).with_suffix("").as_posix() for one in content.images if one.file_name)
    yield from (f"images: two are called {name!r} without suffix; rename one" for name in find_repeated(bare))


def _are_shares(content: CocoFile) -> bool:
    polygons = (
        part for one in content.annotations for part in one.segmentation or () if not isinstance(part, CocoRuns)
    )
    return max((place for corners in polygons for place in corners), default=2) <= 1


def _find_stray(content: CocoFile, key: str, known: set[Identity]) -> Iterator[str]:
    strays = Counter(getattr(one, key) for one in content.annotations if getattr(one, key) not in known)
    yield from (f"annotations: {times} have {key} {value}, which nothing has" for value, times in strays.items())


def _find_file_fault(name: str) -> str:
    path = PurePosixPath(name)
    if "://" in name:
        return f"file_name {name!r:.60} is an address; write the path that the image has below the folder of images"
    if path.is_absolute() or not path.name or {"..", "."} & {*name.split("/")} or ":" in name[:2]:
        return f"file_name {name!r:.60} leads out of the folder of images, or to none; write its path below it, with /"
    if any(part.startswith(".") for part in path.parts):
        return f"file_name {name!r:.60} begins with a dot, as what is hidden and not read; rename it"
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return f"file_name {name!r:.60} ends with none of {', '.join(IMAGE_SUFFIXES)}"
    faults = (find_name_fault(part) for part in path.parts)
    return next((f"file_name {fault}" for fault in faults if fault), "")
