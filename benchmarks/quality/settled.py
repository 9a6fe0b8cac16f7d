"""Made-up tables whose ranks settle within the first epochs: few configurations are much better than all others.

The opposite of `synthetic`, where early ranks mislead: here breadth wins. Like recorded tables they hold a thousand
configurations drawn at random, and a proposal is trained as the nearest of them.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.quality.tables import Table
from benchmarks.quality.tasks import Floats, Task

_CONFIGURATIONS = 1000
_PARAMETERS = 8
_LOW, _HIGH = 1e-4, 1.0
_FLOOR = -3.0
_DIVERGING = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Valley:
    """How narrow and how fast a made-up table is.

    Args:
        name: its name.
        seed: draws it.
        epochs: of a training.
        fastest, slowest: epochs in which a training gets most of the way; the second parameter decides.
        narrowness: of the region of good configurations.
    """

    name: str
    seed: int
    epochs: int
    fastest: float
    slowest: float
    narrowness: float


VALLEYS = (
    Valley(name="settled1", seed=1, epochs=50, fastest=0.3, slowest=3.0, narrowness=1.0),
    Valley(name="settled2", seed=2, epochs=30, fastest=0.5, slowest=6.0, narrowness=1.5),
    Valley(name="settled3", seed=3, epochs=50, fastest=1.0, slowest=10.0, narrowness=0.7),
    Valley(name="settled4", seed=4, epochs=40, fastest=0.4, slowest=8.0, narrowness=1.2),
    Valley(name="settled5", seed=5, epochs=50, fastest=0.5, slowest=5.0, narrowness=0.8),
)


def load_settled() -> list[Task]:
    """Build the table of every valley."""
    return [_build(valley) for valley in VALLEYS]


def _build(valley: Valley) -> Table:
    random = np.random.default_rng(valley.seed)
    middle = random.uniform(0.2, 0.8, _PARAMETERS)
    weights = random.dirichlet(np.full(_PARAMETERS, 0.6)) * _PARAMETERS * valley.narrowness
    pairs = random.normal(0, 0.15, (_PARAMETERS, _PARAMETERS))
    points_CP = random.random((_CONFIGURATIONS, _PARAMETERS))
    away_CP = points_CP - middle
    distances = np.maximum((weights * away_CP**2).sum(axis=1) + np.einsum("cp,pq,cq->c", away_CP, pairs, away_CP), 0)
    limits = 1.2 * np.exp(-6 * distances) + 0.1 * np.exp(-distances)
    paces = valley.fastest * (valley.slowest / valley.fastest) ** points_CP[:, 1]
    progress_E = np.arange(1, valley.epochs + 1)
    noise_CE = random.normal(0, 0.01, (_CONFIGURATIONS, valley.epochs)) * (0.1 + limits[:, None])
    scores_CE = _FLOOR + limits[:, None] * (1 - np.exp(-progress_E / paces[:, None])) + noise_CE
    _diverge(scores_CE, points_CP, random)
    columns = {f"p{index}": _LOW * (_HIGH / _LOW) ** points_CP[:, index] for index in range(_PARAMETERS)}
    return Table(f"synthetic/{valley.name}", columns, scores_CE, np.ones_like(scores_CE))


def _diverge(scores_CE: Floats, points_CP: Floats, random: np.random.Generator) -> None:
    """Let most trainings with a high first parameter diverge within their first epochs."""
    for row in np.flatnonzero((points_CP[:, 0] > _DIVERGING) & (random.random(len(points_CP)) < 0.7)):
        scores_CE[row, int(random.integers(0, 5)) :] = np.nan
