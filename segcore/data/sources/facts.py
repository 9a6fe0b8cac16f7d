"""What else is known of images: group, condition, frame and split, from `cases.csv` or a JSON beside the image.

    DATA/cases.csv       name,group,condition,frame,split     all but the name may be left out or empty
    IMAGE_FOLDER/x.json  {"group": ..., "condition": ..., "frame": ..., "split": ...}

What neither says is derived, and said so.
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, Final

from segcore.counting import count_words
from segcore.data.case import Case
from segcore.data.listing import name_in_list
from segcore.data.names import find_name_fault, has_name, list_first, refuse_repeated_keys, tell_names
from segcore.data.sources.pairing import NO_GROUP
from segcore.data.sources.split_names import Side, find_side
from segcore.data.texts import read_text
from segcore.errors import DataError

_FACTS_FILE: Final = "cases.csv"
_FACTS_FORM: Final = (
    "its first line names the columns, with commas between: name, and any of group, condition, frame, split (train, "
    "val or test)"
)

_COLUMNS: Final = ("name", "group", "condition", "frame", "split")
_NO_GROUPS: Final = (
    "groups: none; folders of the images, or a cases.csv, may give them: images of one drive then stay in one fold"
)
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")


def add_facts(folder: Path, cases: Sequence[Case]) -> tuple[list[Case], list[str], list[str]]:
    """Return the cases with what `cases.csv` and the JSON beside each image say, problems, and notes for a person.

    Raises:
        DataError: when `cases.csv` is not of the form.
    """
    rows = _read_rows(folder / _FACTS_FILE)
    problems: list[str] = []
    known: list[Case] = []
    left_out = 0
    for case in cases:
        row = rows.pop(case.name, {})
        facts = {**_read_beside(case.image, problems), **row}
        if _read_side(facts) == "test":
            left_out += 1
            continue
        found = _apply(case, facts)
        if isinstance(found, Case):
            known.append(found)
        else:
            beside = f"; if another program wrote {case.image.stem}.json, move it away"
            problems += [f"{case.name}: {fault}{'' if row.keys() >= {column} else beside}" for column, fault in found]
    if rows:
        lack = "that no image has, to be taken out"
        problems.append(f"{_FACTS_FILE}: {tell_names(f'names {lack}', list(rows), one=f'name {lack}')}")
    return known, problems, _describe(known, left_out)


def _read_rows(file: Path) -> dict[str, dict[str, str]]:
    if not has_name(file):
        return {}
    if not file.is_file():
        raise DataError(f"{file} is no regular file; {_FACTS_FORM}.")
    try:
        reader = csv.DictReader(StringIO(read_text(file), newline=""), strict=True)
        columns = [column.strip().lower() for column in reader.fieldnames or ()]
        reader.fieldnames = columns
        unknown = [column for column in columns if column not in _COLUMNS]
        if unknown or "name" not in columns or len(set(columns)) < len(columns):
            raise DataError(f"{file} has the columns {', '.join(columns):.300}; {_FACTS_FORM}.")
        return _collect(file, reader)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{file} cannot be read ({error}); {_FACTS_FORM}.") from error


def _collect(file: Path, reader: "csv.DictReader[str]") -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    for row in reader:
        if None in row or None in row.values():
            raise DataError(
                f"{file}, line {reader.line_num}: has another number of values than columns; write as many, and values "
                "with a comma in quotes."
            )
        said = {column: value.strip() for column, value in row.items() if value.strip()}
        name = name_in_list(said.pop("name", ""))
        if not name or name in rows:
            raise DataError(
                f"{file}, line {reader.line_num}: the name {name!r:.100} is empty or was given before; each image has "
                "a line of its own."
            )
        rows[name] = said
    return rows


def _read_beside(image: Path, problems: list[str]) -> dict[str, Any]:
    file = image.with_suffix(".json")
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=refuse_repeated_keys)
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{file.name}: cannot be read ({error or type(error).__name__})")
        return {}
    # Other programs leave JSON beside images too.
    known = content if isinstance(content, dict) else {}
    return {key: known[key] for key in _COLUMNS[1:] if known.get(key) is not None}


def _apply(case: Case, facts: Mapping[str, Any]) -> Case | list[tuple[str, str]]:
    """Return the case with its facts, or what is wrong with them, by column."""
    changes: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    for column in ("group", "condition"):
        if column in facts:
            value = facts[column]
            fault = find_name_fault(value) if isinstance(value, str) else f"is {value!r:.40}, not a text"
            faults += [(column, f"{column} {fault}")] if fault else []
            changes[column] = value
    if "frame" in facts:
        text = str(facts["frame"])
        if not _WHOLE.fullmatch(text):
            faults.append(("frame", f"frame is {facts['frame']!r:.40}, not a whole number"))
        else:
            changes["frame"] = int(text)
    if "split" in facts:
        side = _read_side(facts)
        if not side and facts["split"] != "":
            faults.append(("split", f"split is {facts['split']!r:.40}; use train, val or test, or leave it empty"))
        changes["split"] = side
    return faults or replace(case, **changes)


def _read_side(facts: Mapping[str, Any]) -> Side:
    said = facts.get("split")
    return find_side(said) if isinstance(said, str) else ""


def _describe(cases: Sequence[Case], left_out: int) -> list[str]:
    groups = sorted({case.group for case in cases})
    conditions = sorted({case.condition for case in cases} - {""})
    frames = sum(case.frame is not None for case in cases)
    sides = {side: sum(case.split == side for case in cases) for side in ("train", "val")}
    if not cases:
        return [f"left out: {count_words(left_out, 'image')} of the split test"] if left_out else []
    notes = [
        f"groups: {list_first(groups)}" if groups != [NO_GROUP] else _NO_GROUPS,
        f"conditions: {list_first(conditions) if conditions else f'none; a {_FACTS_FILE} may give them'}",
        f"frames: {frames} of {len(cases)} images have one"
        + ("" if frames else "; each image stands alone in the folds"),
    ]
    if any(sides.values()):
        offer = " (--split official)" if all(sides.values()) else ""
        notes.append(f"split that came with the data: {sides['train']} train, {sides['val']} val{offer}")
    if left_out:
        notes.append(f"left out: {count_words(left_out, 'image')} of the split test")
    return notes
