"""Pictures of fixed images of a fold, to compare trainings by eye: of each condition a typical and a hard one.

How hard an image is, its truth says: the more borders between classes, the more small things are in it. So every
training of a fold shows the same images, whatever it makes of them. Panels of one image are drawn by `figures`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from segcore.data.caching.cache import PixelCache
from segcore.data.classes import ClassTable
from segcore.data.picture_files import Image
from segcore.insight.figures import side_by_side

WHOLE: Final = "validation"
"""What is shown where the data tells no conditions."""

_MOST_CONDITIONS: Final = 4
_MOST_LOOKED_AT: Final = 64
"""Images of a condition; on more, choosing would take seconds of every training."""
_STRIDE: Final = 4
_CAPTION: Final = 70
_LEGEND: Final = 44
"""Heights of lines, pixels. Grids show pictures at a seventh to a third of their width."""
_LARGE: Final = 58
_MIDDLE: Final = 34
_SMALL: Final = 16
_LETTERS: Final = 28
_DARK: Final = (32, 32, 32)
_LIGHT: Final = (255, 255, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCase:
    """An image that is shown.

    Args:
        index: of its case in the cache.
        kind: typical or hard.
    """

    index: int
    kind: str


def choose_cases(cache: PixelCache, indices: Sequence[int]) -> dict[str, tuple[ShownCase, ...]]:
    """Return which images to show, by condition; the conditions with the most images.

    Args:
        cache: the images.
        indices: of the cases of a fold.
    """
    groups: dict[str, list[int]] = {}
    for index in indices:
        groups.setdefault(cache.cases[index].condition or WHOLE, []).append(index)
    largest = sorted(groups, key=lambda name: (-len(groups[name]), name))[:_MOST_CONDITIONS]
    return {name: _choose(cache, groups[name]) for name in sorted(largest)}


def draw_cases(
    cache: PixelCache, cases: Sequence[ShownCase], predictions: Mapping[int, Image], scores: Mapping[str, float | None]
) -> Image:
    """Return image | truth | prediction of each case below each other, with captions and a legend.

    Args:
        cache: the images.
        cases: to be drawn.
        predictions: class indices (H, W) by index of the case.
        scores: IoU by name of the case.
    """
    bands, seen = [], set()
    for case in cases:
        truth_HW, prediction_HW = cache.mask_HW(case.index), predictions[case.index]
        name = cache.cases[case.index].name
        score = scores.get(name)
        told = case.kind + (f": iou {score:.3f}" if score is not None else "")
        panels = side_by_side(cache.image_HW3(case.index), truth_HW, prediction_HW, cache.classes)
        bands += [_write(told, f"{name[-_LETTERS:]}   image | truth | prediction", panels.shape[1]), panels]
        seen |= {*np.unique(truth_HW).tolist(), *np.unique(prediction_HW).tolist()}
    bands += _draw_legend(cache.classes, sorted(seen & set(range(len(cache.classes)))), bands[-1].shape[1])
    return np.concatenate(bands, axis=0)


def _choose(cache: PixelCache, indices: Sequence[int]) -> tuple[ShownCase, ...]:
    step = -(-len(indices) // _MOST_LOOKED_AT)
    ordered = sorted(indices[::step], key=lambda index: (_border_share(cache.mask_HW(index)), index))
    chosen = {ordered[len(ordered) // 2]: "typical"}
    if ordered[-1] not in chosen:
        chosen[ordered[-1]] = "hard"
    return tuple(ShownCase(index=index, kind=kind) for index, kind in chosen.items())


def _border_share(mask_HW: Image) -> float:
    small = mask_HW[::_STRIDE, ::_STRIDE]
    return float(np.mean(small[:, 1:] != small[:, :-1])) if small.shape[1] > 1 else 0.0


def _write(large: str, small: str, width: int) -> Image:
    """Return a line with what everyone reads at its left, and what is looked up at its right."""
    band = PillowImage.new("RGB", (width, _CAPTION), _DARK)
    draw = ImageDraw.Draw(band)
    middle = _CAPTION // 2
    draw.text((8, middle), large, fill=_LIGHT, font=ImageFont.load_default(_LARGE), anchor="lm")
    draw.text((width - 8, middle), small, fill=_LIGHT, font=ImageFont.load_default(_SMALL), anchor="rm")
    return np.asarray(band)


def _draw_legend(classes: ClassTable, indices: Sequence[int], width: int) -> list[Image]:
    """Return lines of colours with the names of their classes."""
    font, middle = ImageFont.load_default(_MIDDLE), _LEGEND // 2
    bands: list[PillowImage.Image] = []
    x = width
    for index in indices:
        needed = _MIDDLE + 8 + round(font.getlength(classes.names[index])) + 20
        if x + needed > width:
            bands.append(PillowImage.new("RGB", (width, _LEGEND), _DARK))
            x = 8
        draw = ImageDraw.Draw(bands[-1])
        box = (x, middle - _MIDDLE // 2, x + _MIDDLE, middle + _MIDDLE // 2)
        draw.rectangle(box, fill=tuple(classes.colours[index]), outline=_LIGHT)
        draw.text((x + _MIDDLE + 8, middle), classes.names[index], fill=_LIGHT, font=font, anchor="lm")
        x += needed
    return [np.asarray(band) for band in bands]
