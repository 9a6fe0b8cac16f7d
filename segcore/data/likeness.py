"""Finds images that show the same picture: copies, mirrored copies, copies of another size or compression.

Every image is looked at as 32x32 grey levels. Pairs are sought by a difference hash of 64 bits, cut into bands so that
not all images are compared with all, and proved by the correlation of the grey levels. What is done about them says
`blocks`.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

SIDE: Final = 32
"""Of a look, pixels."""

LEAST_CORRELATION: Final = 0.998
"""Of two looks of one picture. On CamVid copies of half the size or of JPEG quality 20 reach 0.9998, and neighbouring
frames at most 0.9978."""

MOST_BITS: Final = 4
"""In which the hashes of one picture may differ; in CamVid's copies it was 3."""

_HASH_ROWS: Final = 8
_BANDS: Final = MOST_BITS + 1
_FLAT_LEVELS: Final = 2.0
_ROWS_AT_ONCE: Final = 512
_PAIRS_AT_ONCE: Final = 4096

Look = npt.NDArray[np.uint8]
"""Grey levels (32, 32) of an image."""


def look_at(image_HW3: npt.NDArray[np.uint8]) -> Look:
    """Return what an image looks like, small and grey."""
    small_HW3 = cv2.resize(image_HW3, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small_HW3, cv2.COLOR_RGB2GRAY), np.uint8)


def find_alike(looks_NHW: npt.NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """Return groups of positions whose images look the same, as they are or mirrored; each position is in one at most.

    Args:
        looks_NHW: a look of each image. One without any contrast is only like one that is equal.
    """
    firsts, group_of = _group_equal(looks_NHW)
    looks_NHW = looks_NHW[firsts]
    shapes_NP = _normalise(looks_NHW)
    mirrored_NP = shapes_NP.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(-1, SIDE * SIDE)
    root_N = np.arange(len(firsts))
    for left_P, right_P in _find_candidates(looks_NHW):
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


def _find_candidates(looks_NHW: npt.NDArray[np.uint8]) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield pairs of positions, the first of each as it is and the second as it is or mirrored, of like hashes.

    Of hashes that differ in fewer bits than there are bands, one band is equal.
    """
    count = len(looks_NHW)
    hashes_M = np.concatenate([_hash(looks_NHW), _hash(looks_NHW[:, :, ::-1])])
    for band in range(_BANDS):
        for members_K in _find_equal(_cut_band(hashes_M, band)):
            straight_K = members_K[members_K < count]
            for start in range(0, len(straight_K), _ROWS_AT_ONCE):
                rows_R = straight_K[start : start + _ROWS_AT_ONCE]
                bits_RK = np.bitwise_count(hashes_M[rows_R, None] ^ hashes_M[members_K])
                row_P, column_P = np.nonzero(bits_RK <= MOST_BITS)
                left_P, right_P = rows_R[row_P], members_K[column_P] % count
                once_P = left_P < right_P
                for part_P in np.split(np.flatnonzero(once_P), range(_PAIRS_AT_ONCE, once_P.sum(), _PAIRS_AT_ONCE)):
                    yield left_P[part_P], right_P[part_P]


def _hash(looks_NHW: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return 64 bits of each look: whether it becomes brighter from left to right at 8x8 places."""
    means = [cv2.resize(np.ascontiguousarray(look_HW), (_HASH_ROWS + 1, _HASH_ROWS), interpolation=cv2.INTER_AREA)
             for look_HW in looks_NHW]  # fmt: skip
    means_NRC = np.array(means, np.uint8).reshape(-1, _HASH_ROWS, _HASH_ROWS + 1)
    bits_NB = (means_NRC[:, :, 1:] > means_NRC[:, :, :-1]).reshape(-1, _HASH_ROWS**2)
    return np.packbits(bits_NB, axis=1).view(np.uint64).reshape(-1)


def _cut_band(hashes_M: npt.NDArray[np.uint64], band: int) -> npt.NDArray[np.uint64]:
    first, stop = 64 * band // _BANDS, 64 * (band + 1) // _BANDS
    return hashes_M >> np.uint64(first) & np.uint64((1 << (stop - first)) - 1)


def _find_equal(values_M: npt.NDArray[np.uint64]) -> list[npt.NDArray[Any]]:
    """Return the positions of each value that occurs more than once."""
    order_M = np.argsort(values_M, kind="stable")
    ends = np.flatnonzero(np.diff(values_M[order_M])) + 1
    return [members_K for members_K in np.split(order_M, ends) if len(members_K) > 1]


def _join(root_N: npt.NDArray[np.int64], left_P: npt.NDArray[np.int64], right_P: npt.NDArray[np.int64]) -> None:
    """Make each pair's groups one; a group's root is its first position."""
    for left, right in zip(left_P.tolist(), right_P.tolist(), strict=True):
        low, high = sorted((root_N[left], root_N[right]))
        if low != high:
            root_N[root_N == high] = low
