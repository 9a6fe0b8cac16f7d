"""Exchanges blocks between folds until each fold validates every scored class that enough blocks have.

A fold without a class cannot say how well it is found, and one without any scored class has no score at all. Which
block is where at first says `folds`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from segcore.data.dividing.blocks import Block

Move = tuple[tuple[int, int], ...]
"""Blocks, by position, with the fold that each goes to."""


def cover_classes(
    fold_of_block: Sequence[int], blocks: Sequence[Block], folds: int, classes_of: Mapping[str, frozenset[str]]
) -> list[int]:
    """Return the fold of each block, changed only where a fold lacks a class that enough blocks have.

    Enough are as many as there are folds. That each fold has some scored class comes first, then the classes from the
    rarest on. Where there is a choice, blocks of one stratum and of like sizes are exchanged.

    Args:
        fold_of_block: where each block is.
        blocks: the blocks.
        folds: how many folds there are.
        classes_of: scored classes in each case's mask, by case name.
    """
    fold_of = list(fold_of_block)
    wanted_WB = _list_wanted(blocks, folds, classes_of)
    # Each move leaves less lacking, so there is a last one.
    while move := _find_move(fold_of, blocks, folds, wanted_WB):
        for block, fold in move:
            fold_of[block] = fold
    return fold_of


def _list_wanted(
    blocks: Sequence[Block], folds: int, classes_of: Mapping[str, frozenset[str]]
) -> npt.NDArray[np.bool_]:
    """Return which blocks (columns) have what each fold is to have (rows): any class, then each, from the rarest on."""
    nothing: frozenset[str] = frozenset()
    found = [nothing.union(*(classes_of.get(case.name, nothing) for case in block.cases)) for block in blocks]
    having = {name: [name in names for names in found] for name in sorted(nothing.union(*found))}
    rows = [[bool(names) for names in found], *sorted(having.values(), key=sum)]
    return np.array([row for row in rows if sum(row) >= folds], np.bool_).reshape(-1, len(blocks))


def _find_move(fold_of: list[int], blocks: Sequence[Block], folds: int, wanted_WB: npt.NDArray[np.bool_]) -> Move:
    here_BF = np.arange(folds) == np.array(fold_of)[:, None]
    counts_WF = wanted_WB.astype(np.int64) @ here_BF
    for want, fold in np.argwhere(counts_WF == 0).tolist():
        spare = [block for block in np.flatnonzero(wanted_WB[want]).tolist() if counts_WF[want, fold_of[block]] > 1]
        given = _drop_equal(spare, fold_of, blocks, wanted_WB)
        taken = _drop_equal(np.flatnonzero(here_BF[:, fold]).tolist(), fold_of, blocks, wanted_WB)
        best = min(
            (
                (_weigh(move, fold_of, blocks, wanted_WB, counts_WF), move)
                for move in _list_moves(given, taken, fold, fold_of)
            ),
            default=None,
        )
        if best is not None and best[0][:2] < _lacking(counts_WF):
            return best[1]
    return ()


def _list_moves(given: Iterable[int], taken: Sequence[int], fold: int, fold_of: Sequence[int]) -> Iterator[Move]:
    for block, partner in product(given, (None, *taken)):
        yield ((block, fold),) if partner is None else ((block, fold), (partner, fold_of[block]))


def _drop_equal(
    positions: Iterable[int], fold_of: Sequence[int], blocks: Sequence[Block], wanted_WB: npt.NDArray[np.bool_]
) -> list[int]:
    """Return the first of those that would do the same: many images alone differ in nothing that matters here."""
    first: dict[tuple[object, ...], int] = {}
    for position in positions:
        strata = tuple(sorted(blocks[position].strata.items()))
        first.setdefault((fold_of[position], strata, wanted_WB[:, position].tobytes()), position)
    return list(first.values())


def _weigh(
    move: Move,
    fold_of: Sequence[int],
    blocks: Sequence[Block],
    wanted_WB: npt.NDArray[np.bool_],
    counts_WF: npt.NDArray[np.int64],
) -> tuple[int, int, bool, int]:
    """Return what is lacking after a move, then how much else it changes; the least is the best."""
    after_WF = counts_WF.copy()
    for block, fold in move:
        after_WF[:, fold_of[block]] -= wanted_WB[:, block]
        after_WF[:, fold] += wanted_WB[:, block]
    moved = [blocks[block] for block, _ in move]
    sizes = [len(block.cases) for block in moved]
    same_strata = len(moved) == 2 and moved[0].strata.keys() == moved[1].strata.keys()
    return *_lacking(after_WF), not same_strata, abs(sizes[0] - sum(sizes[1:]))


def _lacking(counts_WF: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Return how many folds lack any class (the first row), and how many classes lack in all folds together."""
    missing_WF = counts_WF == 0
    return int(missing_WF[:1].sum()), int(missing_WF.sum())
