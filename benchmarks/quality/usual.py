"""What someone would try first on a task: the prior of a peer that needs one, and the first trial of `ours+usual`.

A made-up landscape has usual values. Of all other tasks nothing is known beside their ranges: the middle of each, of
its logarithms where it is scaled by them, and of the choices.
"""

import numpy as np

from benchmarks.quality.drawing import decode, draw_params, find_distributions
from benchmarks.quality.synthetic import USUAL, Landscape
from benchmarks.quality.tasks import Params, Task


def list_usual(task: Task) -> Params:
    """Return a value of every parameter, also of those that no configuration has together."""
    distributions = find_distributions(task.space)
    middle = decode(np.full(len(distributions), 0.5), distributions)
    known = USUAL if isinstance(task, Landscape) else {}
    return {name: known.get(name, value) for name, value in middle.items()}


def make_usual(task: Task) -> Params:
    """Return the configuration of the usual values."""
    return draw_params(task.space, np.random.default_rng(0), list_usual(task))
