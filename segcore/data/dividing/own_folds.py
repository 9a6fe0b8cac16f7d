"""`OwnFolds`: a user's own file of folds, read and checked by itself; `given_folds` compares it with the data.

The file is one of

    {"a": 0, "b": 1, "c": "train"}              the fold that each case is validated in, or train: in none
    {"folds": 2, "cases": {"a": {"fold": 0}}}   as this project writes them; a block may stand beside the fold
    [{"train": ["a"], "val": ["b"]}, ...]       nnU-Net's splits_final.json, an entry for each fold
    name,fold                                   a CSV of such columns, where it ends with .csv

Names may have the suffix of their image. A case that is validated in no fold is trained on in every fold.
"""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Final

from segcore.data.listing import name_in_list
from segcore.data.names import tell_names
from segcore.data.texts import read_text
from segcore.errors import DataError

_FORM: Final = (
    'give a JSON object such as {"a": 0, "b": 1} of a fold for each image by its name without suffix, a folds.json, '
    "nnU-Net's splits_final.json, or a CSV with the columns name and fold"
)
_ALWAYS: Final = "train"
_NUMBER: Final = re.compile(r"([0-9]{1,9})(?:\.0*)?")
"""Of a fold; where a column has empty cells, pandas writes 1.0 for 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFolds:
    """What a user's file of folds says, before it is held against the data.

    Args:
        file: where it was read from.
        fold_of: fold of each name; None: trained on in every fold.
        block_of: block of those names that have one.
    """

    file: Path
    fold_of: dict[str, int | None]
    block_of: dict[str, str] = field(default_factory=dict)

    @property
    def folds(self) -> int:
        """Number of folds."""
        return max(fold for fold in self.fold_of.values() if fold is not None) + 1


def read_own_folds(file: Path) -> OwnFolds:
    """Read a user's file of folds.

    Raises:
        DataError: when it has none of the known forms, or with everything that is wrong with its folds.
    """
    try:
        own = _parse_csv(file) if file.suffix.lower() == ".csv" else _parse_json(file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, csv.Error) as error:
        told = f"it lacks {error}" if isinstance(error, KeyError) else f"{error or type(error).__name__}"[:300]
        raise DataError(f"--folds-file {file} cannot be read ({told}); {_FORM}.") from error
    used = {fold for fold in own.fold_of.values() if fold is not None}
    if not used:
        raise DataError(f"--folds-file {file} gives no image a fold to be validated in; {_FORM}.")
    problems = []
    if own.folds > len(used):
        first = next(fold for fold in range(own.folds) if fold not in used)
        problems.append(
            f"of folds 0 to {own.folds - 1}, {own.folds - len(used)} have no image, fold {first} first; count from 0, "
            "without a gap"
        )
    if used == {0} and None not in own.fold_of.values():
        problems.append(f"every image is in fold 0, which leaves none to train on; call those {_ALWAYS!r}")
    problems += _find_divided(own)
    if problems:
        raise DataError(f"--folds-file {file} cannot be used:", problems)
    return own


def _parse_json(file: Path) -> OwnFolds:
    document = json.loads(read_text(file), object_pairs_hook=_once)
    if not isinstance(document, dict | list):
        raise ValueError(f"it holds {document!r:.40}")
    if isinstance(document, list):
        return OwnFolds(file=file, fold_of=_join_sides(file, document))
    entries = document["cases"] if isinstance(document.get("cases"), dict) else document
    of_name = {name: entry if isinstance(entry, dict) else {"fold": entry} for name, entry in entries.items()}
    for name, entry in of_name.items():
        if entry.keys() - {"fold", "block"}:
            raise ValueError(f"{name!r} has the unknown key {next(iter(entry.keys() - {'fold', 'block'}))!r}")
    blocks = {name: entry["block"] for name, entry in of_name.items() if "block" in entry}
    return OwnFolds(
        file=file,
        fold_of={name: _read_fold(name, entry["fold"]) for name, entry in of_name.items()},
        # Names of blocks must not meet those that are made for images without one.
        block_of={name: f"own/{block}" for name, block in blocks.items()},
    )


def _parse_csv(file: Path) -> OwnFolds:
    reader = csv.DictReader(StringIO(read_text(file), newline=""), strict=True, skipinitialspace=True)
    columns = [column.strip().lower() for column in reader.fieldnames or ()]
    if sorted(columns) != ["fold", "name"]:
        raise ValueError(f"its first line is {','.join(reader.fieldnames or ())!r}")
    reader.fieldnames = columns
    pairs = [(row["name"].strip(), row["fold"].strip()) for row in reader if _require_whole(row, reader.line_num)]
    return OwnFolds(
        file=file,
        fold_of={
            name: _read_fold(name, int(match[1]) if (match := _NUMBER.fullmatch(fold)) else fold)
            for name, fold in _once(pairs).items()
        },
    )


def _require_whole(row: Mapping[str | None, object], line: int) -> bool:
    if None in row or None in row.values():
        raise ValueError(f"line {line} has another number of values than the first")
    return True


def _join_sides(file: Path, entries: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, int | None]:
    """Return the fold of each name of nnU-Net's form; every fold must train on all that it does not validate."""
    other = next((entry for entry in entries if not isinstance(entry, dict)), None)
    if other is not None:
        raise ValueError(f"it holds {other!r:.40} where train and val of a fold are to be")
    sides = [({*map(name_in_list, entry["train"])}, {*map(name_in_list, entry["val"])}) for entry in entries]
    everything = {name for train, val in sides for name in train | val}
    fold_of: dict[str, int | None] = dict.fromkeys(sorted(everything))
    problems = []
    for fold, (train, val) in enumerate(sides):
        again = sorted(name for name in val if fold_of[name] is not None)
        if again:
            where = f"of the val of fold {fold}"
            told = f"images {where} are in that of an earlier one too"
            problems.append(tell_names(told, again, one=f"image {where} is in that of an earlier one too"))
        if both := sorted(train & val):
            where = f"in both train and val of fold {fold}"
            problems.append(tell_names(f"images are {where}", both, one=f"image is {where}"))
        if lacking := sorted(everything - train - val):
            where = f"in neither train nor val of fold {fold}"
            told = f"images of other folds are {where}"
            problems.append(tell_names(told, lacking, one=f"image of other folds is {where}"))
        fold_of |= dict.fromkeys(val, fold)
    if problems:
        raise DataError(f"--folds-file {file} cannot be used:", problems)
    return fold_of


def _read_fold(name: str, fold: object) -> int | None:
    if fold is None or fold == _ALWAYS:
        return None
    if isinstance(fold, float) and fold.is_integer():
        fold = int(fold)
    if type(fold) is not int or fold < 0:
        raise ValueError(f"{name!r} has the fold {fold!r}; use a whole number from 0, or {_ALWAYS}")
    return fold


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name_in_list(name) in found:
            raise ValueError(f"{name!r} is given twice")
        found[name_in_list(name)] = value
    return found


def _find_divided(own: OwnFolds) -> list[str]:
    fold_of_block: dict[str, int | None] = {}
    divided = {
        block.removeprefix("own/")
        for name, block in own.block_of.items()
        if fold_of_block.setdefault(block, own.fold_of[name]) != own.fold_of[name]
    }
    return (
        [tell_names("blocks are in several folds", sorted(divided), one="block is in several folds")] if divided else []
    )
