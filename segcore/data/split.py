"""`FoldSplit`: which case is validated in which fold, and its file `folds.json`; how cases are divided says `folds`."""

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from segcore.errors import CheckpointError, ConfigError

_NO_FOLD: Final = -1
_TOLD_LETTERS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSplit:
    """The fold of every case.

    Args:
        folds: number of folds, at least 2.
        fold_of: fold (0-based) in which each case, by name, is validated.
        block_of: block of each case, by name; cases of one block share a fold.
    """

    folds: int
    fold_of: dict[str, int]
    block_of: dict[str, str]

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
        if not 0 <= fold < self.folds:
            raise ConfigError(f"fold {fold} does not exist; there are folds 0 to {self.folds - 1}.")
        clashes = [name for name in extra if name in self.fold_of]
        if clashes:
            raise ConfigError(f"extra case {clashes[0]!r} has a fold, so it could be validated; give it another name.")
        fold_of = {**self.fold_of, **dict.fromkeys(extra, _NO_FOLD)}
        missing = [name for name in names if name not in fold_of]
        if missing:
            raise CheckpointError(
                f"{len(missing)} cases have no fold, {missing[0]!r} first: the data changed since the folds were made."
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


def write_folds(split: FoldSplit, file: Path) -> None:
    """Write `folds.json` atomically."""
    document = {
        "folds": split.folds,
        "cases": {name: {"fold": fold, "block": split.block_of[name]} for name, fold in sorted(split.fold_of.items())},
    }
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
    temporary.replace(file)


def read_folds(file: Path) -> FoldSplit:
    """Read `folds.json`.

    Raises:
        CheckpointError: when it is missing, damaged, or divides a block.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8-sig"))
        cases = document["cases"]
        split = FoldSplit(
            folds=int(document["folds"]),
            fold_of={name: int(entry["fold"]) for name, entry in cases.items()},
            block_of={name: str(entry["block"]) for name, entry in cases.items()},
        )
        _require_sound(split)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        # A text that cannot be decoded would be told as a whole.
        told = f"{type(error).__name__}: {error}"[:_TOLD_LETTERS]
        raise CheckpointError(
            f"{file} cannot be read ({told}); it is made by a search, so restore it or start a new search."
        ) from error
    return split


def _require_sound(split: FoldSplit) -> None:
    fold_of_block: dict[str, int] = {}
    for name, fold in split.fold_of.items():
        if not 0 <= fold < split.folds:
            raise ValueError(f"case {name!r} is in fold {fold} of {split.folds}")
        if fold_of_block.setdefault(split.block_of[name], fold) != fold:
            raise ValueError(f"block {split.block_of[name]!r} is in several folds")
