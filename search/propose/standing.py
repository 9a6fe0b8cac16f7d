"""How trials of unlike length compare: who got further stands higher, then who scored higher there.

ASHA lets go on who is among the best, so a trial that got further was better than those that did not. Trials that got
equally far are compared where they got to. Compared at their last common epoch instead, most pairs would be compared
after the first epochs, and the model would learn what starts fast.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def first_landmark(epochs: int) -> int:
    """Return the epoch from which on scores are compared as such: a ninth of a whole training."""
    return max(1, round(epochs / 9))


def rank_standings(curves: Sequence[Sequence[float]], epochs: int) -> Floats:
    """Return the share of the other trials that each trial beats, from 0 to 1; a tie is half a win.

    Args:
        curves: finite scores by epoch, from the first; a failed trial's is empty and loses against all.
        epochs: of a whole training; landmarks are at `first_landmark`, twice that, and so on, and at the end.
    """
    landmarks = [first_landmark(epochs)]
    while 2 * landmarks[-1] < epochs:
        landmarks.append(2 * landmarks[-1])
    landmarks.append(epochs)
    places = _number(_place(curves, landmarks))
    ordered = np.sort(places)
    beaten = (np.searchsorted(ordered, places, side="left") + np.searchsorted(ordered, places, side="right") - 1) / 2
    standings: Floats = beaten / max(len(curves) - 1, 1)
    return standings


def _number(keys_N2: Floats) -> npt.NDArray[np.intp]:
    """Return the place of each pair among all unlike ones, in order; those that are alike have the same."""
    order = np.lexsort((keys_N2[:, 1], keys_N2[:, 0]))
    is_next = (np.diff(keys_N2[order], axis=0) != 0).any(axis=1)
    places = np.zeros(len(keys_N2), np.intp)
    places[order[1:]] = np.cumsum(is_next)
    return places


def _place(curves: Sequence[Sequence[float]], landmarks: Sequence[int]) -> Floats:
    """Return how many landmarks each trial passed, -1 without scores, and its score there; before any, its last."""
    lengths = np.array([len(curve) for curve in curves], np.intp)
    passed = np.searchsorted(landmarks, lengths, side="right")
    ends = np.where(passed > 0, np.array([0, *landmarks])[passed], lengths).tolist()
    scores = [curve[end - 1] if end else 0.0 for curve, end in zip(curves, ends, strict=True)]
    return np.stack([np.where(lengths > 0, passed, -1), np.array(scores, dtype=float)], axis=1)
