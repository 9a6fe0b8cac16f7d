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
        group: what was taken together: a drive, a city; its frames are neighbours.
        condition: in what light or weather: scores are also given by it.
        frame: index in the drive's video; neighbours look alike.
        pseudo: whether a model drew the mask (see `pseudo_label`); optional in the annotation.
    """

    name: str
    image: Path
    mask: Path
    group: str
    condition: str
    frame: int
    pseudo: bool = False
