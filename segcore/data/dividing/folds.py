"""Which case is validated in which fold: stratified by group and condition, blocks of neighbours kept together.

What a block is says `blocks`; what is done so that each fold has every scored class, `coverage`.
Pure functions without random numbers: the same cases give the same folds on every machine.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from segcore.counting import count_words
from segcore.data.case import Case
from segcore.data.dividing.blocks import Block, Stratum, cut_blocks, list_neighbours
from segcore.data.dividing.coverage import cover_classes
from segcore.data.dividing.split import DEFAULT_FOLDS, FoldSplit
from segcore.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What only the pixels of cases tell.

    Args:
        alike: groups of images that show the same, by case name.
        classes_of: scored classes in each case's mask, by case name.
    """

    alike: tuple[tuple[str, ...], ...] = ()
    classes_of: Mapping[str, frozenset[str]] = field(default_factory=dict)


_NOTHING_SEEN: Final = Seen()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leakage:
    """How many neighbouring frames stand on different sides of a split.

    Args:
        neighbours: pairs of consecutive frames of one stratum.
        divided_blocks: blocks with cases in two folds (0 unless folds.json was edited).
        divided_neighbours: neighbouring pairs in two folds, at the seams between blocks.
    """

    neighbours: int
    divided_blocks: int
    divided_neighbours: int

    def describe(self) -> str:
        """Say it for a person."""
        if not self.neighbours and not self.divided_blocks:
            return "none is known; there are no two images whose frame numbers follow each other"
        return (
            f"{count_words(self.divided_blocks, 'block')} "
            f"divided; {self.divided_neighbours} of {self.neighbours} pairs of "
            "neighbouring frames stand in two folds, at the seams of blocks"
        )


def make_folds(cases: Sequence[Case], folds: int = DEFAULT_FOLDS, seen: Seen = _NOTHING_SEEN) -> FoldSplit:
    """Divide cases into folds, block by block, each stratum over all folds.

    Args:
        cases: the cases of a data set, in any order.
        folds: number of folds, 2 to the number of blocks.
        seen: what is known of their pixels.

    Raises:
        ConfigError: when there are fewer blocks than folds.
        DataError: when a case is a pseudo label, on which nothing can be validated.
    """
    pseudo = [case.name for case in cases if case.pseudo]
    if pseudo:
        raise DataError(
            f"{count_words(len(pseudo), 'case is a pseudo label', 'cases are pseudo labels')}, "
            f"{pseudo[0]!r} first: a score on them would only measure agreement "
            "with the model that made them. Keep them in a folder of their own and give it with --extra."
        )
    if folds < 2:
        raise ConfigError(f"folds={folds}: at least 2 are needed, one to validate on and one to train on.")
    blocks = _choose_blocks(cases, folds, seen)
    if len(blocks) < folds:
        raise ConfigError(
            f"folds={folds}: the data has only {count_words(len(blocks), 'block')} "
            "of images that must stay together (neighbouring "
            f"frames, images that look the same); {_advise(cases, len(blocks), seen)}."
        )
    fold_of_block = cover_classes(_assign(blocks, folds), blocks, folds, seen.classes_of)
    dealt = list(zip(blocks, fold_of_block, strict=True))
    return FoldSplit(
        folds=folds,
        fold_of={case.name: fold for block, fold in dealt for case in block.cases},
        block_of=_name_cases(blocks),
    )


def measure_leakage(cases: Sequence[Case], split: FoldSplit) -> Leakage:
    """Count neighbouring frames and blocks that a split divides."""
    pairs = list_neighbours(cases)
    folds_of_block: dict[str, set[int | None]] = defaultdict(set)
    for case in cases:
        folds_of_block[split.block_of[case.name]].add(split.fold_of[case.name])
    return Leakage(
        neighbours=len(pairs),
        divided_blocks=sum(len(folds) > 1 for folds in folds_of_block.values()),
        divided_neighbours=sum(split.fold_of[a.name] != split.fold_of[b.name] for a, b in pairs),
    )


def _name_cases(blocks: Sequence[Block]) -> dict[str, str]:
    """Return the block of each case; where two would be called alike, their first cases tell them apart."""
    alike = Counter(block.name for block in blocks)
    names = [f"{block.name} ({block.cases[0].name})" if alike[block.name] > 1 else block.name for block in blocks]
    return {case.name: name for name, block in zip(names, blocks, strict=True) for case in block.cases}


def _advise(cases: Sequence[Case], most: int, seen: Seen) -> str:
    # Fewer folds have longer blocks, so that there are as many as now is no promise.
    possible = (folds for folds in range(most, 1, -1) if len(_choose_blocks(cases, folds, seen)) >= folds)
    folds = next(possible, None)
    return "more images of other places are needed" if folds is None else f"use --folds {folds}, or more data"


def _choose_blocks(cases: Sequence[Case], folds: int, seen: Seen) -> list[Block]:
    """Return the longest blocks of which each fold gets one with a scored class, else one at all, else the most."""
    found: list[list[Block]] = []
    for blocks in cut_blocks(cases, folds, seen.alike):
        having = sum(any(seen.classes_of.get(case.name) for case in block.cases) for block in blocks)
        if len(blocks) >= folds and (having >= folds or not seen.classes_of):
            return blocks
        found.append(blocks)
    return next((blocks for blocks in found if len(blocks) >= folds), found[-1])


def _assign(blocks: Sequence[Block], folds: int) -> list[int]:
    # Longest block first, to the fold with the fewest cases of its strata, then with the fewest of all.
    totals = [0] * folds
    of_stratum: dict[Stratum, Counter[int]] = defaultdict(Counter)
    fold_of_block = [0] * len(blocks)
    for position in sorted(range(len(blocks)), key=lambda position: (-len(blocks[position].cases), position)):
        block = blocks[position]

        def crowding(fold: int, block: Block = block) -> tuple[int, int, int]:
            same = sum(cases * of_stratum[stratum][fold] for stratum, cases in block.strata.items())
            return same, totals[fold], fold

        fold = min(range(folds), key=crowding)
        for stratum, cases in block.strata.items():
            of_stratum[stratum][fold] += cases
        totals[fold] += len(block.cases)
        fold_of_block[position] = fold
    return fold_of_block
