"""Which classes are taken for which: the confusion as a square table, its mistakes in words, and as a map of one image.

Pixels are counted in `metrics`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.data.classes import VOID, ClassTable
from segcore.data.colours import Colour
from segcore.scoring.overlaps import Confusion

Mask = npt.NDArray[np.uint8]

BACKGROUND: Final = "background"
"""What a pixel is called where a model that knows only the scored classes sees none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionTable:
    """Pixels by true (rows) and predicted (columns) name, both in the order of the names.

    Args:
        names: what is told apart.
        colours: the colour of each.
        pixels_KK: the counts.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    pixels_KK: Confusion

    @property
    def shares_KK(self) -> npt.NDArray[np.float64]:
        """Each row as shares of its sum, 0 to 1; NaN for a row without pixels."""
        shares_KK = np.full(self.pixels_KK.shape, np.nan)
        totals_K1 = self.pixels_KK.sum(axis=1, keepdims=True)
        np.divide(self.pixels_KK, totals_K1, out=shares_KK, where=totals_K1 > 0)
        return shares_KK

    @property
    def right(self) -> float:
        """Share of all pixels whose name is right, 0 to 1; NaN without pixels."""
        total = int(self.pixels_KK.sum())
        return float(np.trace(self.pixels_KK)) / total if total else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """Pixels of one class that are called another.

    Args:
        true: name of the class that they have.
        predicted: name of the class that they are given.
        share: of the pixels of the true class, 0 to 1.
        pixels: how many.
    """

    true: str
    predicted: str
    share: float
    pixels: int

    def __str__(self) -> str:
        return f"{_percent(self.share)} of {self.true} pixels are called {self.predicted}"


def tabulate_confusion(confusion_CP: Confusion, classes: ClassTable, *, every_class: bool) -> ConfusionTable:
    """Return a confusion as a square table of what the model tells apart.

    Args:
        confusion_CP: pixels by true class and predicted class.
        classes: the class table.
        every_class: whether the model learnt every class; else classes that are not scored are one background.
    """
    if every_class:
        return ConfusionTable(names=classes.names, colours=classes.colours, pixels_KK=confusion_CP[:, : len(classes)])
    scored = list(classes.scored_indices)
    others = [index for index in range(len(classes)) if index not in scored]
    rows = np.vstack([confusion_CP[scored], confusion_CP[others].sum(axis=0)])
    return ConfusionTable(
        names=(*classes.scored, BACKGROUND),
        colours=(*(classes.colours[index] for index in scored), (0, 0, 0)),
        pixels_KK=rows[:, [*scored, len(classes)]],
    )


def list_mistakes(table: ConfusionTable) -> list[Mistake]:
    """Return every pair of classes that are confused, largest share of the true class first."""
    shares_KK = table.shares_KK
    mistakes = [
        Mistake(
            true=table.names[true],
            predicted=table.names[predicted],
            share=float(shares_KK[true, predicted]),
            pixels=int(table.pixels_KK[true, predicted]),
        )
        for true, predicted in np.argwhere(table.pixels_KK > 0).tolist()
        if true != predicted
    ]
    return sorted(mistakes, key=lambda mistake: (-mistake.share, mistake.true, mistake.predicted))


def classify_errors(truth_HW: Mask, prediction_HW: Mask, classes: ClassTable) -> Mask:
    """Return per pixel 0: right, 1: wrong among classes that are not scored, 2: wrong and scored, `VOID`: void.

    A wrong pixel is scored when its true or its predicted class is.
    """
    scored_256 = np.zeros(256, np.bool_)
    scored_256[list(classes.scored_indices)] = True
    wrong_HW = truth_HW != prediction_HW
    # Without every class learnt, background is the right answer for a class that is not scored.
    wrong_HW &= (prediction_HW != VOID) | scored_256[truth_HW]
    errors_HW: Mask = wrong_HW.astype(np.uint8) + (wrong_HW & (scored_256[truth_HW] | scored_256[prediction_HW]))
    errors_HW[truth_HW == VOID] = VOID
    return errors_HW


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0095 else f"{share:.1%}"
