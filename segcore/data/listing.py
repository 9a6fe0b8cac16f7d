"""Lists the files of a folder: which are images, which belong together by name, which nobody reads.

Names are compared in Unicode's composed form, for a Mac writes é as two letters, and suffixes without regard to case.
Decoding the files lives in `decoding`, what makes a data set of them in `dataset`.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from segcore.data.decoding import IMAGE_SUFFIXES
from segcore.data.names import has_controls
from segcore.errors import DataError

_LEFT_BY_SYSTEMS: Final = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """The files of an annotation folder by composed name without suffix.

    Args:
        folder: the folder.
        masks: the PNG of each name, or the image of another suffix where there is none.
        documents: the JSON of each name.
        problems: files of which one name has two.
    """

    folder: Path
    masks: dict[str, Path]
    documents: dict[str, Path]
    problems: tuple[str, ...]


def list_images(folder: Path) -> list[Path]:
    """List the image files directly in a folder, sorted by name.

    Raises:
        DataError: when there is none, two differ only in their suffix, or the folder may not be read.
    """
    try:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder; give a folder of images ({', '.join(IMAGE_SUFFIXES)}).")
        files, problems = find_images(folder)
    except OSError as error:
        raise unreadable_folder(folder, error) from error
    if problems:
        raise broken_folder(folder, problems)
    if not files:
        raise DataError(f"{folder} has no image; give a folder of images ({', '.join(IMAGE_SUFFIXES)}).")
    return files


def find_images(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the image files directly in a folder, sorted by name, and what is wrong with their names.

    Raises:
        OSError: when the folder may not be read.
    """
    files = [file for file in _list_visible(folder) if file.suffix.lower() in IMAGE_SUFFIXES]
    problems = [
        f"{file.name!a}: the name holds a control character; rename the file"
        for file in files
        if has_controls(file.name)
    ]
    chosen, twins = _choose([file for file in files if not has_controls(file.name)])
    return list(chosen.values()), problems + twins


def find_annotations(folder: Path) -> Annotations:
    """Return the masks and documents of an annotation folder.

    Raises:
        OSError: when the folder may not be read.
    """
    files = _list_visible(folder)
    masks, twins = _choose([file for file in files if file.suffix.lower() == ".png"])
    others = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES and name_of(file) not in masks]
    more_masks, more_twins = _choose(others)
    documents, equal_documents = _choose([file for file in files if file.suffix.lower() == ".json"])
    return Annotations(
        folder=folder,
        masks={**masks, **more_masks},
        documents=documents,
        problems=(*twins, *more_twins, *equal_documents),
    )


def walk_images(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the image files in a folder and below it, sorted by path, and what is wrong with their names.

    Links to folders are not followed, for they may lead in a circle.

    Raises:
        OSError: when a folder may not be read.
    """
    files, problems = find_images(folder)
    for below in _list_visible(folder):
        if below.is_dir() and not below.is_symlink():
            more, more_problems = walk_images(below)
            files += more
            problems += more_problems
    return files, problems


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the image files in a folder and below it, sorted in each folder; of one name there may be several.

    Links to folders are not followed, for they may lead in a circle.

    Raises:
        OSError: when a folder may not be read.
    """
    for file in _list_visible(folder):
        if file.is_dir():
            if not file.is_symlink():
                yield from walk_files(file)
        elif file.suffix.lower() in IMAGE_SUFFIXES:
            yield file


def count_unread(folder: Path) -> Counter[str]:
    """Return how many files of each suffix in a folder of images are read as none; hidden ones do not count.

    Raises:
        DataError: when the folder may not be read.
    """
    try:
        return Counter(
            file.suffix.lower() or "no suffix"
            for file in _list_visible(folder)
            if file.suffix.lower() not in IMAGE_SUFFIXES and not file.is_dir()
        )
    except OSError as error:
        raise unreadable_folder(folder, error) from error


def name_of(file: Path) -> str:
    """Return a file's name without suffix, composed."""
    return unicodedata.normalize("NFC", file.stem)


def broken_folder(folder: Path, problems: Sequence[str]) -> DataError:
    """Return the error that lists every problem of a folder."""
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return DataError(f"{folder} cannot be used, {count}:", sorted(problems))


def unreadable_folder(folder: Path, error: OSError) -> DataError:
    """Return the error of a folder that the system does not let be read."""
    return DataError(f"{folder} cannot be read ({error}); give yourself the right to read it, or another folder.")


def _list_visible(folder: Path) -> list[Path]:
    # A Mac leaves ._a.jpg beside a.jpg on foreign disks: notes of its own under the name of an image.
    return sorted(
        file for file in folder.iterdir() if not file.name.startswith(".") and file.name.lower() not in _LEFT_BY_SYSTEMS
    )


def _choose(files: Sequence[Path]) -> tuple[dict[str, Path], list[str]]:
    first: dict[str, Path] = {}
    problems = []
    for file in files:
        earlier = first.setdefault(name_of(file), file)
        if earlier is not file:
            problems.append(f"{file.name}: same name as {earlier.name}; rename or remove one")
    return first, problems
