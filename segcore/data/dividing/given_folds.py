"""Divisions that are given rather than made: the split that came with the data, and a user's own folds.

How a user's file is read lives in `own_folds`, how folds are made in `folds`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from segcore.counting import count_words
from segcore.data.case import Case
from segcore.data.dividing.blocks import name_blocks
from segcore.data.dividing.folds import measure_leakage
from segcore.data.dividing.own_folds import OwnFolds
from segcore.data.dividing.split import DEFAULT_FOLDS, FoldSplit
from segcore.data.names import tell_names
from segcore.errors import DataError


def split_officially(cases: Sequence[Case]) -> FoldSplit:
    """Return the split that came with the data as one fold: its train is trained on, its val validated.

    Args:
        cases: the cases of a data set, in any order.

    Raises:
        DataError: when a case is on no side, or a side is empty.
    """
    counts = Counter(case.split for case in cases)
    if not counts["train"] and not counts["val"]:
        raise DataError(
            f"--split official: none of the {len(cases)} images says that it is for train or val; a folder layout with "
            "train/ and val/, lists such as train.txt that 'splits' of a dataset.json names, or the column split of "
            "cases.csv say it, --folds-file gives a division of your own, and without --split folds are made."
        )
    problems = []
    if counts[""]:
        lacking = [case.name for case in cases if not case.split]
        problems.append(tell_names("images are on no side of it", lacking, one="image is on no side of it"))
    problems += [f"no image is for {side}" for side in ("train", "val") if not counts[side]]
    problems += _find_pseudo(cases, {case.name for case in cases if case.split == "val"})
    if problems:
        raise DataError("The official split cannot be used; mend it, or leave --split official out:", problems)
    fold_of = {case.name: 0 if case.split == "val" else None for case in cases}
    return FoldSplit(folds=1, fold_of=fold_of, block_of=name_blocks(cases, fold_of, DEFAULT_FOLDS), kind="official")


def match_folds(own: OwnFolds, cases: Sequence[Case]) -> FoldSplit:
    """Return the folds of a user's file for the cases of a data set.

    Args:
        own: what the file says.
        cases: the cases, in any order.

    Raises:
        DataError: with everything in which the two differ.
    """
    names = {case.name for case in cases}
    unknown, missing = sorted(own.fold_of.keys() - names), sorted(names - own.fold_of.keys())
    nobody = f"that no image has (an image is called {min(names)!r})" if unknown else ""
    problems = [tell_names(f"names {nobody}", unknown, one=f"name {nobody}")] if unknown else []
    problems += [tell_names("images have no fold", missing, one="image has no fold")] if missing else []
    problems += _find_pseudo(cases, {name for name, fold in own.fold_of.items() if fold is not None})
    if problems:
        raise DataError(f"--folds-file {own.file} does not fit the data:", problems)
    block_of = {**name_blocks(cases, own.fold_of, DEFAULT_FOLDS), **own.block_of}
    return FoldSplit(folds=own.folds, fold_of=own.fold_of, block_of=block_of, kind="own")


def describe_division(cases: Sequence[Case], split: FoldSplit) -> str:
    """Say in a line where a division comes from, how large its parts are, and what one that is given parts.

    Made folds part as few neighbours as they can.

    Args:
        cases: the cases, in any order.
        split: their division.
    """
    return split.describe() if split.kind == "folds" else f"{split.describe()}; {_describe_leakage(cases, split)}"


def find_unlike_sides(split: FoldSplit, classes_of: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Yield each class that only one side of the only fold has, in a sentence.

    Args:
        split: the division; of one with several folds nothing is said.
        classes_of: scored classes in each case's mask, by case name.
    """
    sides: dict[bool, set[str]] = {True: set(), False: set()}
    for name, fold in split.fold_of.items() if split.folds == 1 else ():
        sides[fold is None] |= set(classes_of.get(name, ()))
    for name in sorted(sides[False] - sides[True]):
        yield f"{name}: no image to train on has it, so it is never learnt, and counts in the score"
    for name in sorted(sides[True] - sides[False]):
        yield f"{name}: no image to validate on has it, so it is not scored"


def _describe_leakage(cases: Sequence[Case], split: FoldSplit) -> str:
    if all(case.frame is None for case in cases):
        return "no image has a frame number, so neighbours that look alike on its two sides are not noticed"
    found = measure_leakage(cases, split)
    return (
        f"{found.divided_neighbours} of {found.neighbours} pairs of neighbouring frames stand on two sides of it, "
        f"{count_words(found.divided_blocks, 'block is', 'blocks are')} divided"
    )


def _find_pseudo(cases: Iterable[Case], validated: set[str]) -> list[str]:
    pseudo = [case.name for case in cases if case.pseudo and case.name in validated]
    why = "to be validated, which would only measure agreement with the model that made them"
    return [tell_names(f"pseudo labels are {why}", pseudo, one=f"pseudo label is {why}")] if pseudo else []
