"""Rare classes: how much their pixels weigh in a loss and how crops find them.

Both count pixels of the training cases alone, which the cache's index knows; a validation case changes nothing.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.data.caching.cache import PixelCache
from segcore.data.labels import LabelMap

_LEAST_WEIGHT: Final = 0.1
_MOST_WEIGHT: Final = 10.0


def count_output_pixels(cache: PixelCache, indices: Sequence[int], labels: LabelMap) -> npt.NDArray[np.int64]:
    """Return how many pixels of some cases each network output stands for; void is left out.

    Args:
        cache: the decoded data.
        indices: the training cases' positions in the cache.
        labels: which output stands for which class.
    """
    pixels_K = count_class_pixels(cache, indices)
    pixels_C = np.zeros(labels.outputs, np.int64)
    np.add.at(pixels_C, labels.target_of_class[: len(pixels_K)], pixels_K)
    return pixels_C


def balanced_weights(pixels_C: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the weight of each output: sqrt(median frequency / its frequency), within 0.1 to 10.

    The median is over the outputs that have pixels. An output without any weighs 0: no pixel could use its weight.
    Median frequency balancing (Eigen and Fergus, 2015) without the root lets a class of 0.1 % outweigh the rest.

    Args:
        pixels_C: pixels of each output in the training cases, at least 0.
    """
    weights_C = np.zeros(len(pixels_C), np.float32)
    present_C = pixels_C > 0
    if present_C.any():
        ratio = np.median(pixels_C[present_C]) / pixels_C[present_C]
        weights_C[present_C] = np.clip(np.sqrt(ratio), _LEAST_WEIGHT, _MOST_WEIGHT)
    return weights_C


class RareClasses:
    """Draws scored classes of a case, each with probability proportional to 1 / its pixels in the training cases.

    So crops go where uniformly placed ones seldom are; classes of many pixels are in most crops anyway.

    Args:
        cache: the decoded data.
        indices: the training cases' positions in the cache.
    """

    def __init__(self, cache: PixelCache, indices: Sequence[int]) -> None:
        self._cache = cache
        self._pixels_K = count_class_pixels(cache, indices)
        # Looked up for each sample, of which an epoch of many images has hundreds of thousands.
        self._having = {
            scored: np.array([index for index in indices if cache.cases[index].class_pixels[scored]])
            for scored in cache.classes.scored_indices
        }

    @property
    def rarest_first(self) -> tuple[int, ...]:
        """The scored classes, in the order of their pixels in the training cases; of equal ones the lower index."""
        return tuple(sorted(self._cache.classes.scored_indices, key=lambda scored: (self._pixels_K[scored], scored)))

    def draw(self, index: int, random: np.random.Generator) -> int | None:
        """Return a scored class that a training case has pixels of, or None where it has none.

        Args:
            index: the case's position in the cache.
            random: draws the class.
        """
        case_pixels = self._cache.cases[index].class_pixels
        return self._draw_of([scored for scored in self._cache.classes.scored_indices if case_pixels[scored]], random)

    def draw_case(self, index: int, random: np.random.Generator) -> tuple[int, int] | None:
        """Return another training case and a scored class that it has, each case with the class alike.

        Args:
            index: the position in the cache of the case that is not drawn.
            random: draws class and case.

        Returns:
            The case's position in the cache and the class; None where no other case has the drawn class.
        """
        present = [scored for scored in self._cache.classes.scored_indices if self._pixels_K[scored]]
        drawn = self._draw_of(present, random)
        if drawn is None:
            return None
        others_N = self._having[drawn][self._having[drawn] != index]
        return (int(random.choice(others_N)), drawn) if len(others_N) else None

    def _draw_of(self, present: list[int], random: np.random.Generator) -> int | None:
        if not present:
            return None
        inverse_P = 1 / self._pixels_K[present]
        return int(random.choice(present, p=inverse_P / inverse_P.sum()))


def count_class_pixels(cache: PixelCache, indices: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return how many pixels each class has in some cases; void is left out."""
    # The last count of a case is void.
    pixels_NK = np.array([cache.cases[index].class_pixels[:-1] for index in indices], np.int64)
    return np.asarray(pixels_NK.reshape(len(indices), len(cache.classes)).sum(axis=0))
