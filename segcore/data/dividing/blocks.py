"""Cuts cases into blocks that no fold divides: groups, runs of neighbouring frames, images that look alike.

Neighbouring frames of a drive look almost alike; a model that trained on one knows the other. How blocks are dealt to
folds lives in `folds`, which images look alike in `likeness`.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Final

from segcore.data.case import Case

_BLOCKS_PER_FOLD: Final = 2
"""Blocks that each fold gets of a large stratum, and of whole groups: fewer leave fewer seams, more balance better."""

_SHORTEST_CUTS: Final = (4, 2, 1)
"""Cases that a run of neighbours must exceed to be cut."""

_GAP_FACTOR: Final = 5
"""A gap of more than so many times the stratum's median gap always ends a block."""

Stratum = tuple[str, str]
"""Group and condition; the group is empty where whole groups are blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Cases that stay together.

    Args:
        cases: neighbours in order; of several runs or groups, one after the other.
        strata: how many of them are of each stratum.
    """

    cases: tuple[Case, ...]
    strata: dict[Stratum, int]

    @property
    def name(self) -> str:
        """Of its first case: group, condition and frame, or the case's name."""
        first = self.cases[0]
        return f"{first.group}/{first.condition}/{first.name if first.frame is None else first.frame}"


def cut_blocks(cases: Sequence[Case], folds: int, alike: Collection[Sequence[str]]) -> Iterator[list[Block]]:
    """Yield the ways to cut cases into blocks, those of the longest blocks first.

    Whole groups are blocks where there are at least `_BLOCKS_PER_FOLD` for each fold and none is larger than a fold's
    share. Else each stratum is cut into runs of neighbouring frames; an image without a frame is a run of its own.

    Args:
        cases: in any order.
        folds: how many parts the blocks are for.
        alike: names of images that show the same; they join the blocks that they are in.

    Yields:
        All blocks, by place.
    """
    ordered = sorted(_drop_idle_frames(cases), key=lambda case: case.order)
    if groups := _list_whole_groups(ordered, folds):
        yield [_build_block(group, whole=True) for group in _join_alike(groups, alike)]
    strata = _join_moments(_list_strata(ordered), alike)
    for shortest_cut, parts in _list_cuts(max(map(len, strata), default=0), folds):
        runs = [run for stratum in strata for run in _cut_runs(stratum, parts, shortest_cut)]
        yield [_build_block(run, whole=False) for run in _join_alike(runs, alike)]


def name_blocks(cases: Sequence[Case], part_of: Mapping[str, object], folds: int) -> dict[str, str]:
    """Return the block of neighbouring frames of each case where the parts are given; no block is in two of them.

    Args:
        cases: the cases, in any order.
        part_of: what each case, by name, is divided by.
        folds: how many parts blocks are cut for.
    """
    block_of: dict[str, str] = {}
    for stratum in _list_strata(_drop_idle_frames(cases)):
        parts: dict[object, list[Case]] = defaultdict(list)
        for case in stratum:
            parts[part_of[case.name]].append(case)
        for part in parts.values():
            for run in _cut_runs(part, folds * _BLOCKS_PER_FOLD, _SHORTEST_CUTS[0]):
                # By its first case: in two parts there may be the same frame.
                block_of |= dict.fromkeys((case.name for case in run), run[0].name)
    return block_of


def _list_strata(cases: Sequence[Case]) -> list[list[Case]]:
    """Return the cases of each group and condition, by frame."""
    strata: dict[Stratum, list[Case]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.order):
        strata[case.group, case.condition].append(case)
    return list(strata.values())


def _join_moments(strata: list[list[Case]], alike: Collection[Sequence[str]]) -> list[list[Case]]:
    """Return strata of which an image looks like one of another in the same frame as one: a drive in several weathers.

    Cut each for itself, they would have seams at different frames, and what looks alike would join all their runs.
    """
    moment_of = {
        case.name: (case.group, case.frame) for stratum in strata for case in stratum if case.frame is not None
    }
    at_once = [names for names in alike if len({moment_of.get(name) for name in names}) == 1 and names[0] in moment_of]
    return [sorted(stratum, key=lambda case: case.frame or 0) for stratum in _join_alike(strata, at_once)]


def list_neighbours(cases: Sequence[Case]) -> list[tuple[Case, Case]]:
    """Return the pairs of consecutive frames of one stratum; images without a frame have no neighbours."""
    filmed = [case for case in _drop_idle_frames(cases) if case.frame is not None]
    return [pair for stratum in _list_strata(filmed) for pair in pairwise(stratum)]


def _drop_idle_frames(cases: Sequence[Case]) -> list[Case]:
    # One frame number for all says nothing: they are photos, not many pictures of one moment.
    frames = {case.frame for case in cases}
    return [replace(case, frame=None) for case in cases] if len(frames) == 1 else list(cases)


def _list_whole_groups(cases: Sequence[Case], folds: int) -> list[list[Case]]:
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.group].append(case)
    largest = max(map(len, groups.values()), default=0)
    enough = len(groups) >= _BLOCKS_PER_FOLD * folds and largest * folds <= len(cases)
    return list(groups.values()) if enough else []


def _list_cuts(longest_stratum: int, folds: int) -> Iterator[tuple[int, int]]:
    """Yield what a run must exceed to be cut, and the runs that a stratum is cut into; finer and finer."""
    parts = folds * _BLOCKS_PER_FOLD
    yield from ((shortest_cut, parts) for shortest_cut in _SHORTEST_CUTS)
    while parts < longest_stratum:
        parts *= 2
        yield _SHORTEST_CUTS[-1], parts


def _cut_runs(stratum: list[Case], parts: int, shortest_cut: int) -> list[list[Case]]:
    filmed = [case for case in stratum if case.frame is not None]
    alone = [[case] for case in stratum if case.frame is None]
    if not filmed:
        return alone
    longest = max(shortest_cut, round(len(filmed) / parts))
    gaps = [(after.frame or 0) - (before.frame or 0) for before, after in pairwise(filmed)]
    largest_gap = _GAP_FACTOR * max(1, median(gaps)) if gaps else 0
    runs = [[filmed[0]]]
    for gap, case in zip(gaps, filmed[1:], strict=True):
        # Frames with one index (several cameras, say) are the same moment and stay together at any length.
        if gap > 0 and (gap > largest_gap or len(runs[-1]) >= longest):
            runs.append([])
        runs[-1].append(case)
    return runs + alone


def _join_alike(runs: list[list[Case]], alike: Collection[Sequence[str]]) -> list[list[Case]]:
    """Join the runs that have images which look the same; a joined run stands where its first part stood."""
    run_of = {case.name: position for position, run in enumerate(runs) for case in run}
    joined = list(range(len(runs)))

    def find(position: int) -> int:
        while joined[position] != position:
            position = joined[position]
        return position

    for names in alike:
        roots = sorted({find(run_of[name]) for name in names})
        for root in roots[1:]:
            joined[root] = roots[0]
    whole: dict[int, list[Case]] = {}
    for position, run in enumerate(runs):
        whole.setdefault(find(position), []).extend(run)
    return list(whole.values())


def _build_block(cases: Sequence[Case], *, whole: bool) -> Block:
    return Block(
        cases=tuple(cases), strata=dict(Counter(("" if whole else case.group, case.condition) for case in cases))
    )
