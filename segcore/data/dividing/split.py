"""`FoldSplit`: which case is validated in which fold, and its file `folds.json`.

    {"folds": 1, "split": "official", "cases": {"a": {"fold": null, "block": "drive/day/0"}, "b": {"fold": 0, ...}}}

How cases are divided says `folds`; divisions that come with the data or from its user are read in `given_folds`.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from segcore.counting import count_words
from segcore.errors import CheckpointError, ConfigError
from segcore.regular import read_regular
from segcore.replacing import write_lasting

SplitKind = Literal["folds", "official", "own"]
"""Where a division comes from: made here, come with the data, or a user's own file."""

DEFAULT_FOLDS: Final = 7

_KINDS: Final = get_args(SplitKind)
_TOLD_LETTERS: Final = 300
_REMEDY: Final = "it is made by a search, so restore it or start a new search"
_DESCRIPTIONS: Final[dict[SplitKind, str]] = {
    "folds": "folds made of the data",
    "official": "the official split, which came with the data",
    "own": "folds given by --folds-file",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSplit:
    """The fold of every case.

    Args:
        folds: number of folds, at least 1; with one, there is nothing else to validate on.
        fold_of: fold (0-based) in which each case, by name, is validated; None: trained on in every fold, validated in
            none.
        block_of: block of each case, by name; cases of one block share a fold.
        kind: where the division comes from.
    """

    folds: int
    fold_of: Mapping[str, int | None]
    block_of: dict[str, str]
    kind: SplitKind = "folds"

    def require_fold(self, fold: int) -> None:
        """Raise `ConfigError` when there is no fold of this number."""
        if not 0 <= fold < self.folds:
            there_are = f"there are folds 0 to {self.folds - 1}" if self.folds > 1 else "there is fold 0 alone"
            raise ConfigError(f"fold {fold} does not exist; {there_are}.")

    def split(self, names: Sequence[str], fold: int, extra: Collection[str] = ()) -> tuple[list[int], list[int]]:
        """Return the positions of the training cases and of the validation cases of one fold.

        Args:
            names: case names, in the order that the positions refer to.
            fold: the fold to validate on, 0-based.
            extra: names of cases without a fold, such as pseudo labels: trained on in every fold, validated in none.

        Raises:
            ConfigError: when the fold does not exist or leaves one side empty, or an extra case has a fold.
            CheckpointError: when a case has no fold, as happens when the data changed after the split.
        """
        self.require_fold(fold)
        clashes = [name for name in extra if name in self.fold_of]
        if clashes:
            raise ConfigError(f"extra case {clashes[0]!r} has a fold, so it could be validated; give it another name.")
        fold_of = {**self.fold_of, **dict.fromkeys(extra)}
        missing = [name for name in names if name not in fold_of]
        if missing:
            raise CheckpointError(
                f"{count_words(len(missing), 'case has', 'cases have')} "
                f"no fold, {missing[0]!r} first: the data changed since the folds were made."
                " Start a new search for the new data."
            )
        train = [i for i, name in enumerate(names) if fold_of[name] != fold]
        valid = [i for i, name in enumerate(names) if fold_of[name] == fold]
        if not train or not valid:
            raise ConfigError(
                f"fold {fold} of {self.folds} leaves {len(train)} training and {len(valid)} validation cases; "
                "use fewer folds or more data."
            )
        return train, valid

    def describe(self) -> str:
        """Say in a line where the division comes from and how many cases each part has."""
        folds = list(self.fold_of.values())
        counts = [folds.count(fold) for fold in range(self.folds)]
        if self.folds == 1:
            sizes = f"{count_words(folds.count(None), 'case')} to train on, {counts[0]} to validate on"
        else:
            always = f"; {folds.count(None)} are trained on in every fold" if None in folds else ""
            sizes = f"{', '.join(map(str, counts))} cases in {self.folds} folds{always}"
        return f"{_DESCRIPTIONS[self.kind]}: {sizes}"


def name_training(split: FoldSplit, fold: int) -> str:
    """Return a text that is another one wherever a fold is trained on other cases of the same data."""
    told = f"fold {fold} of {split.folds}"
    if split.kind == "folds":
        # They follow from the data and their number.
        return told
    sides = json.dumps(sorted(split.fold_of.items()))
    return f"{told}, {split.kind} {hashlib.blake2b(sides.encode(), digest_size=8).hexdigest()}"


def write_folds(split: FoldSplit, file: Path) -> None:
    """Write `folds.json`, whole or not at all.

    Raises:
        OSError: when it cannot be written.
    """
    document = {
        "folds": split.folds,
        "split": split.kind,
        "cases": {name: {"fold": fold, "block": split.block_of[name]} for name, fold in sorted(split.fold_of.items())},
    }
    write_lasting(file, json.dumps(document, indent=1).encode())


def read_folds(file: Path, remedy: str = _REMEDY) -> FoldSplit:
    """Read `folds.json`.

    Args:
        file: to read.
        remedy: what to do where it cannot be read.

    Raises:
        CheckpointError: when it is missing, damaged, or divides a block.
    """
    try:
        split = _parse(json.loads(read_regular(file).decode("utf-8-sig")))
        _require_sound(split)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # A text that cannot be decoded would be told as a whole.
        told = f"{type(error).__name__}: {error}"[:_TOLD_LETTERS]
        raise CheckpointError(f"{file} cannot be read ({told}); {remedy}.") from error
    return split


def _parse(document: dict[str, Any]) -> FoldSplit:
    cases = document["cases"]
    fold_of = {name: entry["fold"] for name, entry in cases.items()}
    block_of = {name: entry["block"] for name, entry in cases.items()}
    # Earlier versions made all folds themselves, and said no more of it.
    folds, kind = document["folds"], document.get("split", "folds")
    unknown = [*(document.keys() - {"folds", "split", "cases"})]
    unknown += [key for entry in cases.values() for key in entry.keys() - {"fold", "block"}]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is unknown")
    if type(folds) is not int or not 1 <= folds <= max(1, len(cases)) or kind not in _KINDS:
        raise ValueError(f"folds is {folds!r}, split {kind!r}")
    for name, fold in fold_of.items():
        if not (fold is None or type(fold) is int) or not isinstance(block_of[name], str):
            raise ValueError(f"case {name!r} has the fold {fold!r}, the block {block_of[name]!r}")
    return FoldSplit(folds=folds, fold_of=fold_of, block_of=block_of, kind=kind)


def _require_sound(split: FoldSplit) -> None:
    fold_of_block: dict[str, int | None] = {}
    for name, fold in split.fold_of.items():
        if fold is not None and not 0 <= fold < split.folds:
            raise ValueError(f"case {name!r} is in fold {fold} of {split.folds}")
        if fold_of_block.setdefault(split.block_of[name], fold) != fold:
            raise ValueError(f"block {split.block_of[name]!r} is in several folds")
