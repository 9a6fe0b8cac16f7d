"""Lists the files of a folder: which are images, which belong together by name, which nobody reads.

Names are compared in Unicode's composed form, for a Mac writes é as two letters, and suffixes without regard to case.
Decoding the files lives in `decoding`, what makes a data set of them in `dataset`.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from segcore.data.decoding import IMAGE_SUFFIXES
from segcore.data.names import has_controls
from segcore.errors import DataError

_COLUMNS: Final = re.compile(r"([^\s,]+)(?:(\s*,.*|\s+-?\d+)|\s.*)")
_PATH_AND_MORE: Final = re.compile(rf"(.+?({'|'.join(map(re.escape, IMAGE_SUFFIXES))}))[\s,;|].*", re.IGNORECASE)
"""A path, which may have spaces, and that of the mask behind it."""
_LEFT_BY_SYSTEMS: Final = frozenset({"thumbs.db", "desktop.ini", "@eadir"})
"""By Windows, and by Synology's stores: a folder of thumbnails for each of images."""
_OF_A_DATA_SET: Final = frozenset({"dataset.json", "classes.json", "cases.csv", "_classes.csv"})


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
        below = count_below(folder)
        told = f"; {below} lie in folders below it: give one of these" if below else "; give a folder of images"
        raise DataError(f"{folder} has no image{told} ({', '.join(IMAGE_SUFFIXES)}).")
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
    return sorted(chosen.values()), problems + twins


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

    Raises:
        OSError: when a folder may not be read.
    """
    files, problems = find_images(folder)
    for below in list_folders(folder):
        more, more_problems = walk_images(below)
        files += more
        problems += more_problems
    return files, problems


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the image files in a folder and below it, sorted in each folder; of one name there may be several.

    Raises:
        OSError: when a folder may not be read.
    """
    folders = {below.name for below in list_folders(folder)}
    for file in _list_visible(folder):
        if file.name in folders:
            yield from walk_files(file)
        elif file.suffix.lower() in IMAGE_SUFFIXES:
            yield file


def has_images(folder: Path) -> bool:
    """Say whether an image file lies in a folder or below it; folders of text files hold boxes and outlines.

    Raises:
        OSError: when a folder may not be read.
    """
    if any(name.lower().endswith(IMAGE_SUFFIXES) for name in _list_names(folder)):
        return True
    return any(has_images(below) for below in list_folders(folder))


def list_folders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, sorted, through links too; one that leads to a folder above is none.

    Raises:
        OSError: when the folder may not be read.
    """
    # The system says with each name what it is; asking about each file again takes longer than listing them.
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_symlink()) for entry in entries if is_visible(entry.name) and _is_folder(entry)]
    return [folder / name for name, linked in sorted(found) if not (linked and _leads_round(folder / name))]


def count_below(folder: Path, apart: Sequence[Path] = ()) -> int:
    """Return how many image files lie in the folders in a folder.

    Args:
        folder: the folder.
        apart: folders of which nothing is counted; need not exist.

    Raises:
        DataError: when one may not be read.
    """
    try:
        left_out = {place.resolve() for place in apart}
        files = (file for below in list_folders(folder.resolve()) for file in walk_files(below))
        return sum(left_out.isdisjoint(file.parents) for file in files)
    except OSError as error:
        raise unreadable_folder(folder, error) from error


def count_unread(folder: Path, *, below: bool = False) -> Counter[str]:
    """Return how many files of each suffix in a folder of images are read as none; hidden ones do not count.

    Args:
        folder: the folder.
        below: whether it is a data set's, so that folders in it and the JSON of an image are read too.

    Raises:
        DataError: when the folder may not be read.
    """
    try:
        counts = _count_unread(folder, with_documents=below)
        for part in list_folders(folder) if below else ():
            counts += count_unread(part, below=True)
    except OSError as error:
        raise unreadable_folder(folder, error) from error
    return counts


def _count_unread(folder: Path, *, with_documents: bool) -> Counter[str]:
    files = _list_visible(folder)
    others = [file for file in files if file.suffix.lower() not in IMAGE_SUFFIXES and not file.is_dir()]
    if with_documents:
        images = {file.stem for file in files if file.suffix.lower() in IMAGE_SUFFIXES}
        others = [file for file in others if not (file.suffix.lower() == ".json" and file.stem in images)]
        others = [file for file in others if file.name not in _OF_A_DATA_SET]
    return Counter(file.suffix.lower() or "no suffix" for file in others)


def name_of(file: Path) -> str:
    """Return a file's name without suffix, composed."""
    return unicodedata.normalize("NFC", file.stem)


def name_in_list(text: str) -> str:
    """Return the name of the image that a line of a list means, which may be written with the image's suffix."""
    composed = unicodedata.normalize("NFC", text.strip())
    return composed.rpartition(".")[0] if composed.lower().endswith(IMAGE_SUFFIXES) else composed


def list_readings(line: str) -> tuple[str, ...]:
    r"""Return what a line of a list may mean by the path of an image, the likeliest first.

    That is all of it, or a path that the mask's, or a number, follows; each may begin with / or ./, or have \ between
    folders.
    """
    whole = unicodedata.normalize("NFC", line.strip())
    columns = _COLUMNS.fullmatch(whole)
    # 'a b' is no 'a'.
    first = columns[1] if columns and (columns[2] or columns[1].lower().endswith(IMAGE_SUFFIXES)) else whole
    path = _PATH_AND_MORE.fullmatch(whole)
    texts = (whole, first, *([path[1]] if path else []))
    return *texts, *(text.replace("\\", "/").removeprefix("./").lstrip("/") for text in texts)


def is_visible(name: str) -> bool:
    """Say whether a file or folder of this name is one of a data set, and neither hidden nor left by a system."""
    # A Mac leaves ._a.jpg beside a.jpg on foreign disks: notes of its own under the name of an image.
    return not name.startswith(".") and name.lower() not in _LEFT_BY_SYSTEMS


def broken_folder(folder: Path, problems: Sequence[str]) -> DataError:
    """Return the error that lists every problem of a folder."""
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return DataError(f"{folder} cannot be used, {count}:", sorted(problems))


def unreadable_folder(folder: Path, error: OSError) -> DataError:
    """Return the error of a folder that the system does not let be read."""
    return DataError(f"{folder} cannot be read ({error}); give yourself the right to read it, or another folder.")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # Of a link that leads to itself an entry raises, and a path says that it is none.
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def _leads_round(link: Path) -> bool:
    return link.resolve() in [above.resolve() for above in link.absolute().parents]


def _list_visible(folder: Path) -> list[Path]:
    return [folder / name for name in _list_names(folder)]


def _list_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if is_visible(entry.name))


def _choose(files: Sequence[Path]) -> tuple[dict[str, Path], list[str]]:
    first: dict[str, Path] = {}
    problems = []
    # Of a mask a JPEG beside the PNG is a preview, from which nothing is to be concluded.
    for file in sorted(files, key=lambda file: file.suffix.lower() != ".png"):
        earlier = first.setdefault(name_of(file), file)
        if earlier is not file:
            problems.append(f"{file.name}: same name as {earlier.name}; rename or remove one")
    return first, problems
