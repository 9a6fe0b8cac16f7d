"""Mapillary Vistas: palette masks of which each number is a place in the labels of a configuration.

    DATA/{training,validation}/images/x.jpg
    DATA/{training,validation}/v2.0/labels/x.png     and DATA/config_v2.0.json
    DATA/{training,validation}/v1.2/labels/x.png     and DATA/config_v1.2.json
    DATA/{training,validation}/labels/x.png          and one of these, or DATA/config.json

Labels that are not evaluated are void. Where a folder has masks of several versions, the newest are taken.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from segcore.counting import count_words
from segcore.data.case import DataSet, Split
from segcore.data.classes import VOID, ClassTable
from segcore.data.colours import Colour, choose_colours
from segcore.data.encoding import build_encoding
from segcore.data.names import refuse_repeated_keys
from segcore.data.sources.assembly import assemble, require_pairs, tell_roots
from segcore.data.sources.meaning import Table
from segcore.data.sources.pairing import Root, pair_roots
from segcore.errors import DataError

_SIDES: Final[dict[str, Split]] = {"training": "train", "validation": "val"}
_CONFIGS: Final = {"v2.0": "config_v2.0.json", "v1.2": "config_v1.2.json", "v1": "config.json"}
"""Newest first."""

_FORM: Final = '{"labels": [{"name": ..., "readable": ..., "evaluate": true, "color": [0, 0, 255]}, ...]}'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    name: str
    config: Path
    roots: tuple[Root, ...]


def is_mapillary(folder: Path) -> bool:
    """Say whether a folder has the layout of Mapillary Vistas, of any version."""
    return bool(_find_versions(folder))


def scan_mapillary(folder: Path) -> tuple[DataSet, list[str]]:
    """List the usable cases of a folder of Mapillary Vistas with its newest masks, and its problems.

    Raises:
        DataError: when its configuration or a `cases.csv` cannot be used.
        OSError: when a folder may not be read.
    """
    return _scan("mapillary", folder, _find_versions(folder))


def has_mapillary_1(folder: Path) -> bool:
    """Say whether a folder has masks of version 1.2 of Mapillary Vistas."""
    return any(version.name == "v1.2" for version in _find_versions(folder))


def scan_mapillary_1(folder: Path) -> tuple[DataSet, list[str]]:
    """List the usable cases of a folder with its masks of version 1.2, as `scan_mapillary` does with the newest.

    Raises:
        DataError: when its configuration or a `cases.csv` cannot be used.
        OSError: when a folder may not be read.
    """
    versions = _find_versions(folder)
    return _scan("mapillary-v1.2", folder, sorted(versions, key=lambda version: version.name != "v1.2"))


def _scan(layout: str, folder: Path, versions: Sequence[_Version]) -> tuple[DataSet, list[str]]:
    version, *others = versions
    found = pair_roots(version.roots, [("", "")])
    require_pairs(folder, version.roots, found)
    notes = tell_roots(version.roots, folder)
    notes += [f"left out: the masks of {other.name}{_tell_choice(other)}" for other in others]
    taken = {root.images.parent.name for root in version.roots}
    notes += [
        f"left out: {side}/, which has no masks of {version.name}"
        for side in (*_SIDES, "testing")
        if side not in taken and (folder / side).is_dir()
    ]
    return assemble(layout, folder, version.roots, found, _read_table(version.config), notes)


def _tell_choice(version: _Version) -> str:
    return "; --layout mapillary-v1.2 takes them" if version.name == "v1.2" else ""


def _find_versions(folder: Path) -> list[_Version]:
    versions = []
    for name, file in _CONFIGS.items():
        roots = tuple(
            Root(images=folder / side / "images", masks=masks, split=split)
            for side, split in _SIDES.items()
            if (masks := _find_masks(folder / side, name)) is not None
        )
        if roots and (folder / file).is_file() and (name != "v1" or _is_config(folder / file)):
            versions.append(_Version(name=name, config=folder / file, roots=roots))
    # Masks in labels/ belong to one configuration alone.
    plain = [version for version in versions if version.roots[0].masks.parent.name in _SIDES]
    return [version for version in versions if version not in plain[1:]]


def _find_masks(part: Path, version: str) -> Path | None:
    if not (part / "images").is_dir():
        return None
    return next((masks for masks in (part / version / "labels", part / "labels") if masks.is_dir()), None)


def _is_config(file: Path) -> bool:
    # Many programs have a config.json.
    try:
        return bool(_read_labels(file))
    except DataError:
        return False


def _read_table(file: Path) -> Table:
    labels = _read_labels(file)
    evaluated = [position for position, label in enumerate(labels) if label["evaluate"]]
    names = [label["readable"] for label in labels]
    if len({names[position] for position in evaluated}) < len(evaluated):
        names = [label["name"] for label in labels]
    chosen = tuple(names[position] for position in evaluated)
    try:
        classes = ClassTable(
            names=chosen,
            colours=_tell_apart([_colour(labels[position]) for position in evaluated]),
            scored=chosen,
            ids=tuple(evaluated),
        )
    except DataError as error:
        raise DataError(f"{file} cannot be used:", error.problems) from error
    index_of = {number: index for index, number in enumerate(evaluated)}
    void = dict.fromkeys(range(len(labels)), VOID)
    return Table(
        classes=classes,
        encoding=build_encoding("index", void | index_of),
        notes=(
            f"classes: {len(classes)}, evaluated by {file.name}; its "
            f"{count_words(len(labels) - len(classes), 'other is', 'others are')} void",
            f"masks: numbers, places in the labels of {file.name}",
        ),
    )


def _read_labels(file: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=refuse_repeated_keys)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read ({error or type(error).__name__}); its form is {_FORM}.") from error
    labels = document.get("labels") if isinstance(document, dict) else None
    if not isinstance(labels, list) or not all(map(_is_label, labels)):
        raise DataError(f"{file} is no configuration of Mapillary Vistas; its form is {_FORM}.")
    return labels


def _is_label(label: object) -> bool:
    if not isinstance(label, dict):
        return False
    colour = label.get("color")
    return (
        all(isinstance(label.get(key), str) for key in ("name", "readable"))
        and isinstance(label.get("evaluate"), bool)
        and isinstance(colour, list)
        and len(colour) == 3
        and all(type(part) is int for part in colour)
    )


def _tell_apart(colours: Sequence[Colour]) -> tuple[Colour, ...]:
    """Give each colour that an earlier class has another one: masks are numbers, so colours are for pictures alone."""
    free = iter(choose_colours(len(colours), colours))
    seen: set[Colour] = set()
    different = []
    for colour in colours:
        different.append(next(free) if colour in seen else colour)
        seen.add(colour)
    return tuple(different)


def _colour(label: dict[str, Any]) -> Colour:
    red, green, blue = label["color"]
    return red, green, blue
