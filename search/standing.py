"""How trials of unlike length compare: the share of the others that a trial beats.

Scores after unlike numbers of epochs cannot be compared, so two trials are compared at the last epoch that both
reached. A trial that ASHA stopped early thus counts with what is known of it, and one that went on is compared anew.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def rank_standings(curves: Sequence[Sequence[float]]) -> Floats:
    """Return the share of the other trials that each trial beats, from 0 to 1; a tie is half a win.

    Args:
        curves: finite scores by epoch, from the first; a failed trial's is empty and loses against all.
    """
    count = len(curves)
    lengths = np.array([len(curve) for curve in curves])
    wins = np.zeros(count)
    for epochs in sorted({len(curve) for curve in curves}):
        ends = np.flatnonzero(lengths == epochs).tolist()
        passes = np.flatnonzero(lengths > epochs).tolist()
        ended = np.array([curves[index][epochs - 1] if epochs else 0.0 for index in ends])
        # A failed trial has no score at epoch 0 that another could lose against.
        passed = np.array([curves[index][epochs - 1] if epochs else 1.0 for index in passes])
        wins[ends] += _count_beaten(ended, np.concatenate([ended, passed])) - 0.5
        wins[passes] += _count_beaten(passed, ended)
    return wins / max(count - 1, 1)


def _count_beaten(scores: Floats, others: Floats) -> Floats:
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, side="left")
    at_most = np.searchsorted(ordered, scores, side="right")
    beaten: Floats = (below + at_most) / 2
    return beaten
