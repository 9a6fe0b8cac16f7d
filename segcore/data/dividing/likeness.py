"""Finds images that show the same picture: copies, mirrored copies, copies of another size or compression.

And those of one mask that look roughly alike: one scene in other colours or weather.

Every image is looked at as 32x32 grey levels, and two are the same picture when these correlate. Only those are
compared that lie near each other in a grid over a few rough features: looks that correlate so much cannot lie further
apart than a cell is wide, so none is missed. What is done about them says `blocks`.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from itertools import product
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

SIDE: Final = 32
"""Of a look, pixels."""

LEAST_CORRELATION: Final = 0.998
"""Of two looks of one picture: on CamVid copies of half the size or of JPEG quality 20 reach 0.9998, and neighbouring
frames at most 0.9978."""

_LEAST_ROUGH_CORRELATION: Final = 0.8
"""Of two looks of one scene that have one mask, too: on CamVid an image of other contrast, hue or light, or with rain
or noise, reaches 0.81 to 0.9998, and so does 1 of 20 pairs of other images."""

_MOST_OF_ONE_MASK: Final = 64
"""Images; of more the mask was drawn once for a camera that stands still, or has nothing but the own car."""

_FLAT_LEVELS: Final = 2.0
_BLOCKS: Final = 4
_GRID_AXES: Final = 4
_PAIRS_AT_ONCE: Final = 1 << 17
_PROVED_AT_ONCE: Final = 4096
_COMPARED_AT_ONCE: Final = 1024

Look = npt.NDArray[np.uint8]
"""Grey levels (32, 32) of an image."""


def look_at(image_HW3: npt.NDArray[np.uint8]) -> Look:
    """Return what an image looks like, small and grey."""
    small_HW3 = cv2.resize(image_HW3, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small_HW3, cv2.COLOR_RGB2GRAY), np.uint8)


def correlate_following(looks_NHW: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return how much each look correlates with the next, -1 to 1; one without any contrast correlates with none."""
    shapes_NP = _normalise(looks_NHW)
    return np.asarray(np.einsum("pi,pi->p", shapes_NP[:-1], shapes_NP[1:]), np.float32)


def find_alike(looks_NHW: npt.NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """Return groups of positions whose images look the same, as they are or mirrored; each position is in one at most.

    Args:
        looks_NHW: a look of each image. One without any contrast is only like one that is equal.
    """
    firsts, group_of = _group_equal(looks_NHW)
    shapes_NP = _normalise(looks_NHW[firsts])
    mirrored_NP = shapes_NP.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(-1, SIDE * SIDE)
    root_N = np.arange(len(firsts))
    for left_P, right_P in _find_near(shapes_NP, mirrored_NP):
        # Where a camera stands still all are like all: once they are known as one group, no more is proved.
        apart_P = root_N[left_P] != root_N[right_P]
        left_P, right_P = left_P[apart_P], right_P[apart_P]
        straight_P = np.einsum("pi,pi->p", shapes_NP[left_P], shapes_NP[right_P])
        turned_P = np.einsum("pi,pi->p", shapes_NP[left_P], mirrored_NP[right_P])
        same_P = np.maximum(straight_P, turned_P) >= LEAST_CORRELATION
        _join(root_N, left_P[same_P], right_P[same_P])
    groups: dict[int, list[int]] = defaultdict(list)
    for position, group in enumerate(group_of):
        groups[int(root_N[group])].append(position)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def identify_mask(size: tuple[int, int], pixels_C: Sequence[int], checksum: int) -> Hashable:
    """Return what is equal for equal masks alone; None for one of a single class, which tells nothing.

    Args:
        size: height and width, pixels.
        pixels_C: pixels of each class, then of void.
        checksum: of its class indices.
    """
    return (size, tuple(pixels_C), checksum) if np.count_nonzero(pixels_C[:-1]) > 1 else None


def identify_moment(group: str, frame: int | None) -> Hashable:
    """Return what is equal for images of one place and time; None where that is not known."""
    return None if frame is None else (group, frame)


def find_recoloured(
    looks_NHW: npt.NDArray[np.uint8], masks: Sequence[Hashable], moments: Sequence[Hashable]
) -> list[tuple[int, ...]]:
    """Return groups of positions of one mask whose images look roughly alike, or were taken at one moment.

    Such are one image in other colours, or one scene drawn in several weathers; each position is in one group at most.

    Args:
        looks_NHW: a look of each image.
        masks: what `identify_mask` returns of each.
        moments: what `identify_moment` returns of each.
    """
    places: dict[Hashable, list[int]] = defaultdict(list)
    for position, mask in enumerate(masks):
        places[mask].append(position)
    places.pop(None, None)
    groups: list[tuple[int, ...]] = []
    for found in places.values():
        if 1 < len(found) <= _MOST_OF_ONE_MASK:
            shapes_NP = _normalise(looks_NHW[found])
            taken = [moments[position] for position in found]
            at_once_NN = np.array([[one is not None and one == other for other in taken] for one in taken])
            same_NN = np.triu((shapes_NP @ shapes_NP.T >= _LEAST_ROUGH_CORRELATION) | at_once_NN, 1)
            root_N = np.arange(len(found))
            _join(root_N, *np.nonzero(same_NN))
            groups += [tuple(np.array(found)[root_N == root].tolist()) for root in np.unique(root_N)]
    return sorted(group for group in groups if len(group) > 1)


def find_twins(looks_NHW: npt.NDArray[np.uint8], others_MHW: npt.NDArray[np.uint8]) -> dict[int, int]:
    """Return by its position each of the others that looks like one of these, as it is or mirrored, and which that is.

    What is like another that is like one of these is not counted: so a video would be joined to its one labelled frame.

    Args:
        looks_NHW: a look of each image. One without any contrast is only like one that is equal.
        others_MHW: likewise, of other images.
    """
    if not len(looks_NHW):
        return {}
    positions = {look_HW.tobytes(): position for position, look_HW in reversed(list(enumerate(looks_NHW)))}
    found = {
        other: positions[look_HW.tobytes()]
        for other, look_HW in enumerate(others_MHW)
        if look_HW.tobytes() in positions
    }
    shapes_NP = _normalise(looks_NHW)
    for start in range(0, len(others_MHW), _COMPARED_AT_ONCE):
        part_KHW = others_MHW[start : start + _COMPARED_AT_ONCE]
        straight_KN = _normalise(part_KHW) @ shapes_NP.T
        likeness_KN = np.maximum(straight_KN, _normalise(part_KHW[:, :, ::-1]) @ shapes_NP.T)
        nearest_K = likeness_KN.argmax(axis=1)
        for row in np.flatnonzero(likeness_KN.max(axis=1) >= LEAST_CORRELATION):
            found.setdefault(start + int(row), int(nearest_K[row]))
    return dict(sorted(found.items()))


def _group_equal(looks_NHW: npt.NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    """Return the first position of each different look, and for each position which of those it has."""
    known: dict[bytes, int] = {}
    group_of = [known.setdefault(look_HW.tobytes(), len(known)) for look_HW in looks_NHW]
    firsts: dict[int, int] = {}
    for position, group in enumerate(group_of):
        firsts.setdefault(group, position)
    return list(firsts.values()), group_of


def _normalise(looks_NHW: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return looks (N, pixels) of mean 0 and length 1, so that a product is a correlation; flat ones are 0."""
    levels_NP = looks_NHW.reshape(len(looks_NHW), SIDE * SIDE).astype(np.float32)
    levels_NP -= levels_NP.mean(axis=1, keepdims=True)
    lengths_N1 = np.linalg.norm(levels_NP, axis=1, keepdims=True)
    flat_N1 = lengths_N1 < _FLAT_LEVELS * SIDE
    return np.where(flat_N1, 0, levels_NP / np.where(flat_N1, 1, lengths_N1)).astype(np.float32)


def _find_near(
    shapes_NP: npt.NDArray[np.float32], mirrored_NP: npt.NDArray[np.float32]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield pairs of different positions, the first as it is and the second as it is or mirrored, that may be the same.

    The square of the distance of two shapes is 2 - 2 x correlation, and in features it is no larger.
    """
    count, reach = len(shapes_NP), np.sqrt(2 - 2 * LEAST_CORRELATION)
    features_MF = np.concatenate([_measure(shapes_NP), _measure(mirrored_NP)])
    # Flat looks are all 0: they are like nothing, and would be near each other.
    known_M = np.flatnonzero(features_MF.any(axis=1))
    for left_P, right_P in _find_neighbours(features_MF[known_M], reach):
        left_P, right_P = known_M[left_P], known_M[right_P]
        near_P = ((features_MF[left_P] - features_MF[right_P]) ** 2).sum(axis=1) <= reach**2
        near_P &= (left_P < count) & (left_P < right_P % count)
        left_P, right_P = left_P[near_P], right_P[near_P] % count
        for start in range(0, len(left_P), _PROVED_AT_ONCE):
            yield left_P[start : start + _PROVED_AT_ONCE], right_P[start : start + _PROVED_AT_ONCE]


def _measure(shapes_NP: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return rough features of shapes: lengths along 4x4 blocks of pixels, which are at right angles to each other."""
    side = SIDE // _BLOCKS
    blocks_NRrCc = shapes_NP.reshape(-1, _BLOCKS, side, _BLOCKS, side)
    return np.asarray(blocks_NRrCc.sum(axis=(2, 4)).reshape(-1, _BLOCKS**2) / side, np.float32)


def _find_neighbours(
    features_MF: npt.NDArray[np.float32], reach: float
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield pairs of positions in the same or in adjacent cells of a grid over the features that differ most."""
    if not len(features_MF):
        return
    axes = np.argsort(-features_MF.var(axis=0), kind="stable")[:_GRID_AXES]
    cells_MA = np.floor(features_MF[:, axes] / reach).astype(np.int64)
    # Features are lengths of at most 1, so this many cells hold them and their neighbours.
    width = 2 * int(1 / reach) + 6
    keys_M = (cells_MA + width // 2) @ width ** np.arange(_GRID_AXES)
    order_M = np.argsort(keys_M, kind="stable")
    sorted_M = keys_M[order_M]
    for step in product((-1, 0, 1), repeat=_GRID_AXES):
        wanted_M = keys_M + np.array(step) @ width ** np.arange(_GRID_AXES)
        starts_M, stops_M = np.searchsorted(sorted_M, wanted_M, "left"), np.searchsorted(sorted_M, wanted_M, "right")
        for part_K in _divide(stops_M - starts_M):
            counts_K = (stops_M - starts_M)[part_K]
            first_P = np.repeat(np.cumsum(counts_K) - counts_K, counts_K)
            places_P = np.repeat(starts_M[part_K], counts_K) + np.arange(counts_K.sum()) - first_P
            yield np.repeat(part_K, counts_K), order_M[places_P]


def _divide(counts_M: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the positions that have a count, so many at a time that their counts add up to little memory."""
    having_K = np.flatnonzero(counts_M)
    parts_K = np.cumsum(counts_M[having_K]) // _PAIRS_AT_ONCE
    yield from np.split(having_K, np.flatnonzero(np.diff(parts_K)) + 1)


def _join(root_N: npt.NDArray[np.int64], left_P: npt.NDArray[np.int64], right_P: npt.NDArray[np.int64]) -> None:
    """Make each pair's groups one; a group's root is its first position."""
    for left, right in zip(left_P.tolist(), right_P.tolist(), strict=True):
        low, high = sorted((root_N[left], root_N[right]))
        if low != high:
            root_N[root_N == high] = low
