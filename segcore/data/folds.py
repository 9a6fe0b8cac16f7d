"""Which case is validated in which fold: stratified by group and condition, neighbours kept together.

Neighbouring frames of a drive look almost alike; a model that trained on one knows the other. So each
stratum (group x condition) is cut into blocks of consecutive frames, and a block is never divided.
Pure functions without random numbers: the same cases give the same folds on every machine.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from segcore.data.case import Case
from segcore.data.split import DEFAULT_FOLDS, FoldSplit
from segcore.errors import ConfigError, DataError

BLOCKS_PER_FOLD: Final = 2
"""Blocks that each fold gets of a large stratum: fewer leave fewer seams, more balance better."""

SHORTEST_CUTS: Final = (4, 2, 1)
"""Cases that a run of neighbours must exceed to be cut; the first that gives every fold a block is taken."""

GAP_FACTOR: Final = 5
"""A gap of more than so many times the stratum's median gap always ends a block."""


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


def make_folds(cases: Sequence[Case], folds: int = DEFAULT_FOLDS) -> FoldSplit:
    """Divide cases into folds, stratum by stratum, block by block.

    Args:
        cases: the cases of a data set, in any order.
        folds: number of folds, 2 to the number of blocks.

    Raises:
        ConfigError: when there are fewer blocks of neighbouring frames than folds.
        DataError: when a case is a pseudo label, on which nothing can be validated.
    """
    pseudo = [case.name for case in cases if case.pseudo]
    if pseudo:
        raise DataError(
            f"{len(pseudo)} cases are pseudo labels, {pseudo[0]!r} first: a score on them would only measure agreement "
            "with the model that made them. Keep them in a folder of their own and give it with --extra."
        )
    if folds < 2:
        raise ConfigError(f"folds={folds}: at least 2 are needed, one to validate on and one to train on.")
    blocks: list[list[Case]] = []
    for shortest_cut in SHORTEST_CUTS:
        blocks = [block for stratum in _strata(cases) for block in _cut_blocks(stratum, folds, shortest_cut)]
        if len(blocks) >= folds:
            break
    if len(blocks) < folds:
        raise ConfigError(
            f"folds={folds}: the data has only {len(blocks)} blocks of neighbouring frames; "
            f"use --folds {max(2, len(blocks))} or fewer, or more data."
        )
    fold_of: dict[str, int] = {}
    block_of: dict[str, str] = {}
    for block, fold in zip(blocks, _assign(blocks, folds), strict=True):
        for case in block:
            fold_of[case.name] = fold
            block_of[case.name] = _name_block(block[0])
    return FoldSplit(folds=folds, fold_of=fold_of, block_of=block_of)


def measure_leakage(cases: Sequence[Case], split: FoldSplit) -> Leakage:
    """Count neighbouring frames and blocks that a split divides."""
    pairs = [pair for stratum in _strata(cases) for pair in pairwise(stratum)]
    folds_of_block: dict[str, set[int | None]] = defaultdict(set)
    for case in cases:
        folds_of_block[split.block_of[case.name]].add(split.fold_of[case.name])
    return Leakage(
        neighbours=len(pairs),
        divided_blocks=sum(len(folds) > 1 for folds in folds_of_block.values()),
        divided_neighbours=sum(split.fold_of[a.name] != split.fold_of[b.name] for a, b in pairs),
    )


def name_blocks(cases: Sequence[Case], part_of: Mapping[str, object]) -> dict[str, str]:
    """Return the block of neighbouring frames of each case where the parts are given; no block is in two of them.

    Args:
        cases: the cases, in any order.
        part_of: what each case, by name, is divided by.
    """
    block_of: dict[str, str] = {}
    for stratum in _strata(cases):
        parts: dict[object, list[Case]] = defaultdict(list)
        for case in stratum:
            parts[part_of[case.name]].append(case)
        for part in parts.values():
            filmed = [case for case in part if case.frame is not None]
            blocks = _cut_blocks(filmed, DEFAULT_FOLDS, SHORTEST_CUTS[0]) if filmed else []
            for block in (*blocks, *([case] for case in part if case.frame is None)):
                # By its first case: in two parts there may be the same frame.
                block_of |= dict.fromkeys((case.name for case in block), block[0].name)
    return block_of


def _strata(cases: Sequence[Case]) -> list[list[Case]]:
    strata: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.order):
        strata[case.group, case.condition].append(case)
    return list(strata.values())


def _cut_blocks(stratum: list[Case], folds: int, shortest_cut: int) -> list[list[Case]]:
    longest = max(shortest_cut, round(len(stratum) / (folds * BLOCKS_PER_FOLD)))
    gaps = [_gap(before, after) for before, after in pairwise(stratum)]
    largest_gap = GAP_FACTOR * max(1, median(gaps)) if gaps else 0
    blocks = [[stratum[0]]]
    for gap, case in zip(gaps, stratum[1:], strict=True):
        # Frames with one index (several cameras, say) are the same moment and stay together at any length.
        if gap > 0 and (gap > largest_gap or len(blocks[-1]) >= longest):
            blocks.append([])
        blocks[-1].append(case)
    return blocks


def _name_block(first: Case) -> str:
    return f"{first.group}/{first.condition}/{first.name if first.frame is None else first.frame}"


def _gap(before: Case, after: Case) -> float:
    if before.frame is None or after.frame is None:
        return math.inf
    return after.frame - before.frame


def _assign(blocks: list[list[Case]], folds: int) -> list[int]:
    # Longest block first, to the fold with the fewest cases of its stratum, then with the fewest of all.
    totals = [0] * folds
    of_stratum: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * folds)
    fold_of_block = [0] * len(blocks)
    for position in sorted(range(len(blocks)), key=lambda position: (-len(blocks[position]), position)):
        block = blocks[position]
        counts = of_stratum[block[0].group, block[0].condition]
        fold = min(range(folds), key=lambda fold: (counts[fold], totals[fold], fold))
        counts[fold] += len(block)
        totals[fold] += len(block)
        fold_of_block[position] = fold
    return fold_of_block
