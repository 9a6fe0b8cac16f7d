"""Pseudo labels: a data-set folder of unlabelled images with masks that a model drew where it was sure.

    OUT/seg_train_images/NAME.jpg          the image
    OUT/seg_train_annotations/NAME.png     colours of the model's classes; void where the model was not sure
    OUT/seg_train_annotations/NAME.json    {"attributes": {"route", "timeofday", "pseudo": true, ...}, "frameIndex"}
    OUT/classes.json                       the model's classes, with a void colour

How such a folder joins a training lives in `extra`. (Lee, 2013: Pseudo-Label.)
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segcore.data.caching.cache import Progress
from segcore.data.classes import VOID, ClassTable, class_table_to_json
from segcore.data.decoding import decode_rgb
from segcore.data.listing import is_visible, list_images
from segcore.data.names import has_controls
from segcore.data.new_folder import link_or_copy, new_folder
from segcore.data.picture_files import save_png
from segcore.data.sources.contest import ANNOTATIONS_FOLDER, IMAGES_FOLDER
from segcore.errors import ConfigError, DataError
from segcore.prediction.ensemble import Ensemble

ROUTE: Final = "pseudo"
TIMEOFDAY: Final = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoOptions:
    """Which pixels and images are labelled.

    Args:
        confidence: least probability of a sure pixel, above 0 to 1.
        min_share: least share of sure pixels of an image that is kept, 0 to 1.
        prefix: put before each image's name, so that it differs from those of the real data.

    Raises:
        ConfigError: naming the option that is not allowed.
    """

    confidence: float = 0.9
    min_share: float = 0.05
    prefix: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.confidence <= 1:
            raise ConfigError(f"--confidence {self.confidence:g}: a probability above 0 to 1; 0.9 is a good start.")
        if not 0 <= self.min_share <= 1:
            raise ConfigError(f"--min-share {self.min_share:g}: a share of the pixels from 0 to 1; use 0.05 or so.")
        if self.prefix != Path(self.prefix).name:
            raise ConfigError(f"--prefix {self.prefix!r}: the start of a file name, without folders; use 'pseudo_'.")
        if self.prefix and (has_controls(self.prefix) or not is_visible(self.prefix)):
            raise ConfigError(f"--prefix {self.prefix!r}: no data set reads files that are called so; use 'pseudo_'.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoReport:
    """What was labelled.

    Args:
        images: how many images were written.
        skipped: names of the images with too few sure pixels.
        unread: what is wrong with each image that cannot be decoded.
        pixels: pixels of the images written.
        pixels_of_class: sure pixels by class name, in the images written.
        images_of_class: images by class name that have such pixels.
    """

    images: int
    skipped: tuple[str, ...]
    unread: tuple[str, ...]
    pixels: int
    pixels_of_class: dict[str, int]
    images_of_class: dict[str, int]


def write_pseudo_labels(
    ensemble: Ensemble, images: Path, out: Path, options: PseudoOptions, progress: Progress
) -> PseudoReport:
    """Label the images of a folder with a model and write them as a data set, whole or not at all.

    Images that cannot be decoded are left out and told in the report.
    A model of `labels=scored` knows no class for its background where several are not scored: such pixels are void,
    however sure it is, and do not count as sure.

    Args:
        ensemble: the model.
        images: folder of the images.
        out: the data-set folder to make; it must not exist or be empty.
        options: which pixels and images are labelled.
        progress: called with (images done, images in all).

    Raises:
        DataError: when no image can be decoded, or none has enough sure pixels.
        StorageError: when the folder holds something already or cannot be written.
    """
    files = list_images(images)
    with new_folder(out) as part:
        for folder in (IMAGES_FOLDER, ANNOTATIONS_FOLDER):
            (part / folder).mkdir()
        return _write_cases(ensemble, files, part, options, progress)


def label_sure_pixels(probabilities_CHW: Tensor, class_of_output: Tensor, confidence: float) -> Tensor:
    """Return the most probable class index of each pixel, uint8 (H, W); void where the model is not sure.

    Args:
        probabilities_CHW: of each network output, 0 to 1.
        class_of_output: class index of each output, uint8, on the same device.
        confidence: least probability of a sure pixel, 0 to 1.
    """
    greatest = probabilities_CHW.max(dim=0)
    return torch.where(greatest.values >= confidence, class_of_output[greatest.indices], VOID)


def add_void_colour(table: ClassTable) -> ClassTable:
    """Return a table with at least one void colour: that of background in masks, where it has none."""
    return table if table.void else replace(table, void=(table.background_colour,))


def _write_cases(
    ensemble: Ensemble, files: Sequence[Path], folder: Path, options: PseudoOptions, progress: Progress
) -> PseudoReport:
    # The contest's layout has masks of colours, whatever the data's own have.
    table = add_void_colour(replace(ensemble.classes, ids=()))
    palette_N3 = table.palette_N3
    palette_N3[VOID] = table.void[0]
    pixels_256, images_256 = np.zeros(256, np.int64), np.zeros(256, np.int64)
    skipped: list[str] = []
    unread: list[str] = []
    for done, file in enumerate(files, start=1):
        try:
            image_HW3 = decode_rgb(file)
        except DataError as error:
            unread.append(str(error))
            progress(done, len(files))
            continue
        mask_HW = _label(ensemble, image_HW3, options)
        counts_256 = np.bincount(mask_HW.ravel(), minlength=256)
        if counts_256[:VOID].sum() < options.min_share * mask_HW.size or not counts_256[:VOID].any():
            skipped.append(file.name)
        else:
            _write_case(file, folder, palette_N3[mask_HW], _describe_case(done - 1, options), options.prefix)
            pixels_256 += counts_256
            images_256 += counts_256 > 0
        progress(done, len(files))
    images = len(files) - len(skipped) - len(unread)
    if not skipped and not images:
        raise DataError(f"None of {len(files)} images can be read:", unread)
    if not images:
        raise DataError(
            f"None of {len(skipped)} images has {options.min_share:.1%} sure pixels at a confidence of "
            f"{options.confidence:g}; lower --confidence or --min-share, or use a better model.",
            unread,
        )
    (folder / "classes.json").write_text(json.dumps(class_table_to_json(table), indent=1), encoding="utf-8")
    return PseudoReport(
        images=images,
        skipped=tuple(skipped),
        unread=tuple(unread),
        pixels=int(pixels_256.sum()),
        pixels_of_class=dict(zip(table.names, pixels_256.tolist(), strict=False)),
        images_of_class=dict(zip(table.names, images_256.tolist(), strict=False)),
    )


def _label(ensemble: Ensemble, image_HW3: npt.NDArray[np.uint8], options: PseudoOptions) -> npt.NDArray[np.uint8]:
    probabilities_CHW = ensemble.probabilities(image_HW3)
    labels_HW = label_sure_pixels(probabilities_CHW, ensemble.class_of_output, options.confidence)
    mask_HW: npt.NDArray[np.uint8] = labels_HW.cpu().numpy()
    return mask_HW


def _describe_case(number: int, options: PseudoOptions) -> dict[str, Any]:
    attributes = {"route": ROUTE, "timeofday": TIMEOFDAY, "pseudo": True, "confidence": options.confidence}
    return {"attributes": attributes, "frameIndex": number}


def _write_case(
    image: Path, folder: Path, colours_HW3: npt.NDArray[np.uint8], document: dict[str, Any], prefix: str
) -> None:
    link_or_copy(image, folder / IMAGES_FOLDER / f"{prefix}{image.name}")
    annotation = folder / ANNOTATIONS_FOLDER / f"{prefix}{image.stem}"
    save_png(colours_HW3, annotation.with_name(annotation.name + ".png"))
    annotation.with_name(annotation.name + ".json").write_text(json.dumps(document), encoding="utf-8")
