"""The contest's layout: RGB masks and a JSON of facts for each image.

    DATA/seg_train_images/NAME.jpg           or .jpeg, .png, .tif, .tiff, .bmp, .webp
    DATA/seg_train_annotations/NAME.png      RGB colours of the class table
    DATA/seg_train_annotations/NAME.json     {"attributes": {"route", "timeofday", "pseudo"}, "frameIndex"}
    DATA/classes.json                        optional, see `classes`

A route is a group, a time of day a condition.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from segcore.counting import count_words
from segcore.data.case import Case, DataSet
from segcore.data.classes import CONTEST_CLASSES, find_class_table
from segcore.data.decoding import IMAGE_SUFFIXES
from segcore.data.encoding import MaskEncoding, encoding_of
from segcore.data.listing import Annotations, count_below, find_annotations, find_images, name_of
from segcore.data.names import find_name_fault, refuse_repeated_keys
from segcore.data.sources.advice import init_command

IMAGES_FOLDER: Final = "seg_train_images"
ANNOTATIONS_FOLDER: Final = "seg_train_annotations"
_DOCUMENT_FORM: Final = '{"attributes": {"route": "Tokyo1", "timeofday": "day"}, "frameIndex": 4204}'


def is_contest(folder: Path) -> bool:
    """Say whether a folder has the contest's layout."""
    return (folder / IMAGES_FOLDER).is_dir()


def scan_contest(folder: Path) -> tuple[DataSet, list[str]]:
    """List the usable cases of a folder in the contest's layout, and its problems.

    Raises:
        DataError: when `classes.json` cannot be used.
        OSError: when the folder may not be read.
    """
    classes, images = find_class_table(folder), folder / IMAGES_FOLDER
    below = count_below(images)
    dataset = DataSet(
        folder=folder,
        layout="contest",
        classes=classes or CONTEST_CLASSES,
        cases=(),
        images=(images,),
        notes=(
            *(() if classes else (_tell_contest_table(folder),)),
            *([f"left out: {count_words(below, 'image')} in folders below {IMAGES_FOLDER}/"] if below else []),
        ),
    )
    if not (folder / ANNOTATIONS_FOLDER).is_dir():
        # One line instead of two for each image.
        problem = f"{ANNOTATIONS_FOLDER}/ is missing: it must hold NAME.png and NAME.json for every image"
        return dataset, [problem]
    files, problems = find_images(images)
    annotations = find_annotations(folder / ANNOTATIONS_FOLDER)
    problems += annotations.problems
    cases, encoding = [], encoding_of(dataset.classes)
    for file in files:
        found = _read_case(file, annotations, encoding)
        if isinstance(found, Case):
            cases.append(found)
        else:
            problems += found
    problems += _find_orphans(annotations, {name_of(file) for file in files})
    if not files:
        problems.append(f"{IMAGES_FOLDER}/ has no image ({', '.join(IMAGE_SUFFIXES)})")
    return replace(dataset, cases=tuple(cases)), problems


def _read_case(image: Path, annotations: Annotations, encoding: MaskEncoding) -> Case | list[str]:
    name = name_of(image)
    mask = annotations.masks.get(name, annotations.folder / f"{name}.png")
    document = annotations.documents.get(name, annotations.folder / f"{name}.json")
    problems = [fault for file in (image, mask, document) if (fault := _find_file_fault(file))]
    if not document.is_file():
        return problems
    try:
        content = json.loads(document.read_text(encoding="utf-8-sig"), object_pairs_hook=refuse_repeated_keys)
        attributes = content["attributes"]
        case = Case(
            name=name,
            image=image,
            mask=mask,
            encoding=encoding,
            group=_text(attributes, "route"),
            condition=_text(attributes, "timeofday"),
            frame=_whole(content, "frameIndex"),
            pseudo=_flag(attributes, "pseudo"),
        )
    except KeyError as error:
        problems.append(f"{document.name}: {error.args[0]!r} is missing; its form is {_DOCUMENT_FORM}")
    except (ValueError, TypeError, RecursionError, OSError) as error:
        problems.append(
            f"{document.name}: cannot be read ({error or type(error).__name__}); its form is {_DOCUMENT_FORM}"
        )
    return problems or case


def _text(attributes: dict[str, object], name: str) -> str:
    value = attributes[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r}, not a text")
    if fault := find_name_fault(value):
        raise ValueError(f"{name} {fault}")
    return value


def _whole(content: dict[str, object], name: str) -> int:
    value = content[name]
    if type(value) is not int:
        raise ValueError(f"{name} is {value!r}, not a whole number")
    return value


def _flag(attributes: dict[str, object], name: str) -> bool:
    value = attributes.get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, not true or false")
    return value


def _find_file_fault(file: Path) -> str:
    if file.is_file():
        return ""
    if file.exists():
        return f"{file.name}: is no regular file; put a copy in its place"
    advice = f"write {_DOCUMENT_FORM}" if file.suffix == ".json" else "add it, or take the image away"
    return f"{file.name}: missing in {file.parent.name}/; {advice}"


def _find_orphans(annotations: Annotations, names: set[str]) -> list[str]:
    masks = (mask for name, mask in annotations.masks.items() if name not in names and mask.suffix.lower() == ".png")
    return [f"{mask.name}: a mask without an image of that name in {IMAGES_FOLDER}/; take it away" for mask in masks]


def _tell_contest_table(folder: Path) -> str:
    return (
        "classes: the contest's 20, for there is no classes.json; if the masks have others, "
        f"'{init_command(folder, force=True)}' counts their colours and writes a file to name them in"
    )
