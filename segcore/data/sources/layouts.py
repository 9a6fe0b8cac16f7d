"""The layouts by name, and which one a folder has; a new layout is a file beside this one and a line here."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from segcore.data.case import DataSet
from segcore.data.sources.advice import init_command
from segcore.data.sources.camvid import LABELLED, STILLS, is_camvid, scan_camvid
from segcore.data.sources.cityscapes import is_cityscapes, scan_cityscapes
from segcore.data.sources.contest import is_contest, scan_contest
from segcore.data.sources.described import is_described, scan_described
from segcore.data.sources.mapillary import has_mapillary_1, is_mapillary, scan_mapillary, scan_mapillary_1
from segcore.data.sources.pairs import is_pairs, scan_pairs, tell_unread
from segcore.data.sources.voc import is_voc, scan_voc
from segcore.data.unpacking import SUFFIXES
from segcore.errors import ConfigError, DataError

_MOST_TRIED: Final = 20
"""Folders inside one without a layout."""


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
    Layout(
        name="cityscapes",
        form="leftImg8bit/train/ and gtFine/train/, and the same of val",
        recognise=is_cityscapes,
        scan=scan_cityscapes,
    ),
    Layout(
        name="mapillary",
        form="training/images/, training/v2.0/labels/ (or labels/) and config_v2.0.json",
        recognise=is_mapillary,
        scan=scan_mapillary,
    ),
    Layout(
        name="mapillary-v1.2",
        form="training/images/, training/v1.2/labels/ (or labels/) and config_v1.2.json",
        recognise=has_mapillary_1,
        scan=scan_mapillary_1,
    ),
    Layout(
        name="camvid",
        form=f"train/ and trainannot/, or train/, train_labels/ and class_dict.csv, or {STILLS}/ and {LABELLED}/",
        recognise=is_camvid,
        scan=scan_camvid,
    ),
    Layout(
        name="voc",
        form="JPEGImages/ and SegmentationClass/, divided by ImageSets/Segmentation/train.txt and val.txt",
        recognise=is_voc,
        scan=scan_voc,
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
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no data set: it is no folder; give the folder of a data set, or an archive of it "
            f"({', '.join(SUFFIXES)})."
        )
    if name:
        return _require_form(folder, name)
    found = next((layout for layout in LAYOUTS if layout.recognise(folder)), None)
    if found is None:
        raise DataError(
            f"{folder} is no data set of a known layout; {tell_unread(folder)}{_find_below(folder)}"
            f"'{init_command(folder)}' looks into it and writes a dataset.json to fill in. Known are:",
            [f"{layout.name}: {layout.form}" for layout in LAYOUTS],
        )
    return found


def _find_below(folder: Path) -> str:
    """Say which folder inside another has a layout: archives are often unpacked into one more."""
    # What may not be read inside is no reason to refuse the folder for.
    with suppress(OSError):
        for part in islice((part for part in sorted(folder.iterdir()) if part.is_dir()), _MOST_TRIED):
            found = next((layout for layout in LAYOUTS if layout.recognise(part)), None)
            if found is not None:
                return f"{part} has that of {found.name}; "
    return ""


def _require_form(folder: Path, name: str) -> Layout:
    chosen = next((layout for layout in LAYOUTS if layout.name == name), None)
    if chosen is None:
        raise ConfigError(f"--layout {name!r}: use {', '.join(layout.name for layout in LAYOUTS)}, or leave it out.")
    if not chosen.recognise(folder):
        raise DataError(f"{folder} has not the layout {name}: {chosen.form}; give the folder that holds these.")
    return chosen
