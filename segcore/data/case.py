"""`DataSet` and its cases, as a folder names them; finding them lives in `sources`, dividing them in `folds`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segcore.data.classes import ClassTable
from segcore.data.encoding import MaskEncoding
from segcore.errors import ConfigError

Split = Literal["", "train", "val"]
"""Side of the split that came with the data; empty: it came with none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One labelled image.

    Args:
        name: what its files are called without suffix; no two cases of a data set have one.
        image: the image's file.
        mask: the mask's file.
        encoding: how the mask says classes.
        group: what was taken together: a drive, a city; its frames are neighbours.
        condition: in what light or weather: scores are also given by it; empty: not known.
        frame: index in its group's video, whose neighbours look alike; None: it stands alone.
        split: side of the split that came with the data.
        pseudo: whether a model drew the mask (see `pseudo_label`); optional in the annotation.
    """

    name: str
    image: Path
    mask: Path
    encoding: MaskEncoding
    group: str
    condition: str = ""
    frame: int | None = None
    split: Split = ""
    pseudo: bool = False

    @property
    def order(self) -> tuple[str, str, int, str]:
        """What cases are sorted by so that neighbours stand beside each other."""
        return self.group, self.condition, self.frame or 0, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """What was understood of a data-set folder.

    Args:
        folder: the folder.
        layout: name of its layout, see `sources`.
        classes: its class table.
        cases: its labelled images, sorted by name.
        images: folders of its images, to count what else lies there.
        notes: what a person must know of how it was read, a line each.
    """

    folder: Path
    layout: str
    classes: ClassTable
    cases: tuple[Case, ...]
    images: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def require_outside(self, option: str, folder: Path) -> None:
        """Refuse to write among the data, where the next command that reads it would find what was written.

        Args:
            option: that gave the folder, such as --out.
            folder: to be written; need not exist.

        Raises:
            ConfigError: when it is the data set's own, or lies among its images or masks.
        """
        wanted = folder.resolve()
        parents = {parent for case in self.cases for parent in (case.image.parent, case.mask.parent)}
        read = {parent.resolve() for parent in parents}
        if wanted == self.folder.resolve() or read & {wanted, *wanted.parents}:
            raise ConfigError(f"{option} {folder} is a folder of the data set itself; choose one beside it.")
