"""The layouts by name, and which one a folder has; a new layout is a file beside this one and a line here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from segcore.data.case import DataSet
from segcore.data.sources.contest import is_contest, scan_contest
from segcore.data.sources.described import is_described, scan_described
from segcore.data.sources.pairs import is_pairs, scan_pairs
from segcore.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How some data sets lie in their folder.

    Args:
        name: what `--layout` calls it.
        form: the folders that it is known by, for a person.
        recognise: whether a folder has it.
        scan: lists its usable cases and its problems.
    """

    name: str
    form: str
    recognise: Callable[[Path], bool]
    scan: Callable[[Path], tuple[DataSet, list[str]]]


LAYOUTS: Final = (
    Layout(name="described", form="any folder with a dataset.json", recognise=is_described, scan=scan_described),
    Layout(
        name="contest",
        form="seg_train_images/ and seg_train_annotations/",
        recognise=is_contest,
        scan=scan_contest,
    ),
    Layout(name="pairs", form="images/ and masks/, whole or by train/ and val/", recognise=is_pairs, scan=scan_pairs),
)
"""In the order in which they are tried: what is told by special names comes before what is told by common ones."""


def find_layout(folder: Path, name: str = "") -> Layout:
    """Return the layout of a folder.

    Args:
        folder: the data-set folder.
        name: which it has; empty: the first that recognises it.

    Raises:
        ConfigError: when there is no layout of that name.
        DataError: when the folder is none, or of no known layout.
    """
    if name:
        chosen = next((layout for layout in LAYOUTS if layout.name == name), None)
        if chosen is None:
            raise ConfigError(
                f"--layout {name!r}: use {', '.join(layout.name for layout in LAYOUTS)}, or leave it out."
            )
        return chosen
    if not folder.is_dir():
        raise DataError(f"{folder} is no data set: it is no folder; give the folder of a data set.")
    found = next((layout for layout in LAYOUTS if layout.recognise(folder)), None)
    if found is None:
        raise DataError(
            f"{folder} is no data set of a known layout; 'python -m segcore init {folder}' looks into it and writes a "
            "dataset.json to fill in. Known are:",
            [f"{layout.name}: {layout.form}" for layout in LAYOUTS],
        )
    return found
