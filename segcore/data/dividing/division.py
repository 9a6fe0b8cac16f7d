"""`Division`: how the data is to be divided, as the options of a command say it, before the data is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segcore.data.case import Case
from segcore.data.dividing.folds import make_folds
from segcore.data.dividing.given_folds import match_folds, split_officially
from segcore.data.dividing.own_folds import OwnFolds, read_own_folds
from segcore.data.dividing.split import DEFAULT_FOLDS, FoldSplit, SplitKind
from segcore.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """How the data is to be divided.

    Args:
        kind: whether folds are made, or where they come from.
        folds: number of folds, at least 1.
        own: a user's own folds, of that kind.
    """

    kind: SplitKind
    folds: int
    own: OwnFolds | None = None

    def divide(self, cases: Sequence[Case]) -> FoldSplit:
        """Return the fold of every case.

        Args:
            cases: the cases of a data set, in any order.

        Raises:
            ConfigError: when there are too few blocks of neighbouring frames to make so many folds.
            DataError: when the data does not have what is asked for.
        """
        if self.own is not None:
            return match_folds(self.own, cases)
        return split_officially(cases) if self.kind == "official" else make_folds(cases, self.folds)

    def find_given(self, cases: Sequence[Case]) -> FoldSplit | None:
        """Return the fold of every case where it is given and taken as it is; None where folds are to be made.

        Raises:
            DataError: when the data does not have what is asked for.
        """
        return None if self.kind == "folds" else self.divide(cases)


def choose_division(split: str, folds: int | None, folds_file: Path | None) -> Division:
    """Return what `--split`, `--folds` and `--folds-file` say together.

    Args:
        split: folds or official.
        folds: number of folds; None: not given.
        folds_file: a user's own folds; None: not given.

    Raises:
        ConfigError: when they contradict each other.
        DataError: when the file cannot be used.
    """
    if split not in ("folds", "official"):
        raise ConfigError(f"--split {split!r}: use folds, or official for the train and val that came with the data.")
    if folds_file is not None and split == "official":
        raise ConfigError("--split official and --folds-file both say how the data is divided; leave one out.")
    if folds_file is None and split == "folds":
        return Division(kind="folds", folds=DEFAULT_FOLDS if folds is None else folds)
    own = read_own_folds(folds_file) if folds_file is not None else None
    given = own.folds if own is not None else 1
    if folds not in (None, given):
        source = f"--folds-file {folds_file}" if own is not None else "--split official"
        raise ConfigError(f"--folds {folds} contradicts {source}, which has {given}; leave --folds out.")
    return Division(kind="official" if own is None else "own", folds=given, own=own)
