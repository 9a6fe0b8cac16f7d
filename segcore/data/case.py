"""One labelled image, as the folder names it; reading it lives in `dataset`, dividing cases into folds in `folds`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One labelled image.

    Args:
        name: file name without suffix.
        image: the image's file.
        mask: the colour mask's file.
        route: where it was taken.
        timeofday: when it was taken.
        frame: index in the drive's video; neighbours look alike.
        pseudo: whether a model drew the mask (see `pseudo_label`); optional in the annotation.
    """

    name: str
    image: Path
    mask: Path
    route: str
    timeofday: str
    frame: int
    pseudo: bool = False
