"""Which member of a model may predict which image: the one that left it out of its training, where that is known.

A model's notes name the fold that each member left out, see `training_notes`. The folds themselves come from the
`folds.json` of the model, which `train` and a retraining write, or of its search; for models whose notes are older than
that they are made again from the data.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from segcore.data.case import Case
from segcore.data.dividing.folds import make_folds
from segcore.data.dividing.given_folds import split_officially
from segcore.data.dividing.split import FoldSplit, read_folds
from segcore.errors import CheckpointError, ConfigError, DataError
from segcore.networks.weight_files import find_weights_file
from segcore.prediction.ensemble import Ensemble
from segcore.prediction.ensemble_files import FOLDS_FILE, read_ensemble_notes
from segcore.prediction.training_notes import TrainingNotes, read_notes


class Origin(StrEnum):
    """Whether the members that predict an image had trained on it."""

    HELD_OUT = "held out"
    TRAINED_ON = "trained on"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Who predicts an image.

    Args:
        members: positions of the members.
        origin: whether they had trained on it.
    """

    members: tuple[int, ...]
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutPlan:
    """Who predicts each image, and how that is known.

    Args:
        of_case: by case name.
        source: where the folds come from, half a sentence; empty when nothing is known.
        block_of: block of neighbouring frames of each image that has one, by case name.
        fold_of: fold of each image that is in one, by case name.
    """

    of_case: dict[str, Assignment]
    source: str
    block_of: dict[str, str]
    fold_of: dict[str, int]

    def count(self, origin: Origin) -> int:
        """Return the number of images of an origin."""
        return sum(assignment.origin is origin for assignment in self.of_case.values())


def plan_held_out(
    notes: TrainingNotes, cases: Sequence[Case], model: Path, folds_file: Path | None = None
) -> HeldOutPlan:
    """Say for each image which members left it out.

    Args:
        notes: what the model says of its training.
        cases: the images.
        model: the model's directory, with `folds.json`; a search keeps one two levels above it.
        folds_file: the folds that the model was trained with; None: found beside the model, or made again.

    Raises:
        CheckpointError: when `folds_file` cannot be read or belongs to another training.
    """
    everybody, left_out, extra = tuple(range(notes.members)), notes.left_out, notes.extra
    own = [case for case in cases if case.name not in extra]
    found = _find_split(own, notes, model, folds_file) if left_out else None
    of_case = {}
    for case in cases:
        free: tuple[int, ...] = ()
        if case.name in extra:
            origin = Origin.TRAINED_ON
        elif found is None:
            origin = Origin.UNKNOWN
        elif case.name in found[0].fold_of:
            fold = found[0].fold_of[case.name]
            free = tuple(member for member in everybody if left_out[member] == fold)
            origin = Origin.HELD_OUT if free else Origin.TRAINED_ON
        else:
            # Without a fold an image came after the training, unless it was trained on beside the folds.
            origin = _judge_new(case, extra_is_known=notes.extra_is_known)
        of_case[case.name] = Assignment(members=free or everybody, origin=origin)
    split, source = found or (None, "")
    known = {case.name: split.fold_of.get(case.name) for case in own} if split else {}
    return HeldOutPlan(
        of_case=of_case,
        source=source,
        block_of=split.block_of if split else {},
        fold_of={name: fold for name, fold in known.items() if fold is not None},
    )


def read_stored_folds(folds: int, model: Path) -> tuple[FoldSplit, str] | None:
    """Return the folds that lie beside a model or its search, and where, half a sentence; None without them.

    Args:
        folds: number of folds that the model was trained on; others are not its own.
        model: the model's directory.

    Raises:
        CheckpointError: when there is such a file and it cannot be read.
    """
    for file, place in ((model / FOLDS_FILE, "model"), (model.resolve().parent.parent / FOLDS_FILE, "search")):
        remedy = f"restore it from a copy of the {place}"
        if file.is_file() and (split := read_folds(file, remedy)).folds == folds:
            return split, f"read from the {place}'s {file.name}"
    return None


def describe_known_images(weights: str, names: Sequence[str]) -> str:
    """Say how many images a network that a training starts from was trained on; empty where none is known to be.

    Args:
        weights: of a configuration; only a model directory or a file in it says what it was trained on.
        names: of the images to validate on.
    """
    file = None if weights in ("imagenet", "none") else find_weights_file(weights)
    try:
        members = [] if file is None else read_ensemble_notes(file.parent)["members"]
        if file is None or file.name not in members:
            return ""
        notes = read_notes(file.parent)
        stored = read_stored_folds(notes.folds, file.parent)
    except (CheckpointError, KeyError, TypeError):
        return ""
    if stored is None:
        return ""
    fold_of, own = stored[0].fold_of, notes.left_out[members.index(file.name)]
    known = [name for name in names if fold_of.get(name, own) != own]
    if not known:
        return ""
    return (
        f"{weights} was trained on {len(known)} of the {len(names)} images to validate on, {known[0]} first, if their "
        "names mean the same: scores flatter; start from a network that left their fold out (member_N.safetensors)"
    )


def choose_members(ensemble: Ensemble, members: Sequence[int]) -> Ensemble:
    """Return an ensemble of some of the members."""
    return dataclasses.replace(ensemble, members=tuple(ensemble.members[member] for member in members))


def _find_split(
    cases: Sequence[Case], notes: TrainingNotes, model: Path, folds_file: Path | None
) -> tuple[FoldSplit, str] | None:
    if folds_file is not None:
        split = read_folds(folds_file, f"give the one that the training of {model} used, or leave --folds out")
        if split.folds != notes.folds:
            raise CheckpointError(
                f"{folds_file} has {split.folds} folds, but {model} was trained on {notes.folds}; "
                "give the folds.json of its training."
            )
        return split, f"read from {folds_file.name}"
    stored = read_stored_folds(notes.folds, model)
    if stored is not None:
        return stored
    try:
        if notes.split == "official":
            return split_officially(cases), "of the split that came with the data"
        # Since notes name the split, folds follow from what images hold too, which nobody reads here.
        if notes.split is not None:
            return None
        return make_folds(cases, notes.folds), f"made again from the data, {notes.folds} in number"
    except (ConfigError, DataError):
        return None


def _judge_new(case: Case, *, extra_is_known: bool) -> Origin:
    if case.pseudo:
        return Origin.TRAINED_ON
    return Origin.HELD_OUT if extra_is_known else Origin.UNKNOWN


def spread(cases: Sequence[Case], most: int | None) -> list[Case]:
    """Return at most so many cases, evenly spread; None returns all."""
    if most is None or most >= len(cases):
        return list(cases)
    return [cases[len(cases) * (2 * number + 1) // (2 * most)] for number in range(most)]
