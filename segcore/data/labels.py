"""Which network output stands for which class: every class, or the scored ones and one background."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from segcore.data.classes import VOID, ClassTable


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """Translates between class indices of the data and outputs of the network.

    Args:
        outputs: number of network outputs.
        target_of_class: output index to learn for each class index 0..255; void stays void.
        class_of_output: class index that each output predicts, 256 entries; the background predicts the class that is
            not scored where there is one, else void.
    """

    outputs: int
    target_of_class: npt.NDArray[np.uint8]
    class_of_output: npt.NDArray[np.uint8]


def build_label_map(classes: ClassTable, labels: Literal["full", "scored"]) -> LabelMap:
    """Return the map of a class table: `full` has an output per class, `scored` one per scored class + background."""
    target_of_class = np.full(256, VOID, np.uint8)
    class_of_output = np.full(256, VOID, np.uint8)
    if labels == "full":
        target_of_class[: len(classes)] = np.arange(len(classes))
        class_of_output[: len(classes)] = np.arange(len(classes))
        return LabelMap(outputs=len(classes), target_of_class=target_of_class, class_of_output=class_of_output)
    background = len(classes.scored)
    target_of_class[: len(classes)] = background
    target_of_class[list(classes.scored_indices)] = np.arange(background)
    class_of_output[:background] = classes.scored_indices
    others = set(range(len(classes))) - {*classes.scored_indices}
    if len(others) == 1:
        # Background is that class then, and no pixel needs to go without one.
        class_of_output[background] = others.pop()
    return LabelMap(outputs=background + 1, target_of_class=target_of_class, class_of_output=class_of_output)
