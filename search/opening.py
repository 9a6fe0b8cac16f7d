"""Reads what a search is and where it runs from its folder, and remembers the latter; tells a copy from its original.

The name and the storage are those of the folder, whatever the files in it say, so that it may be renamed and moved.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from search.folder import SearchFolder
from search.place import Place, build_place, change_place, read_place, write_place
from search.settings import SearchSettings, change_settings, read_settings, write_settings
from segcore.errors import CheckpointError


def read_what(folder: SearchFolder) -> SearchSettings:
    """Return what a search is, by the name that its folder has now.

    Raises:
        CheckpointError: when its file is damaged.
        ConfigError: when the folder was given a name that no search may have.
    """
    return change_settings(read_settings(folder.settings), {"name": folder.name})


def read_search(folder: SearchFolder) -> tuple[SearchSettings, Place]:
    """Return what a search is and where it ran last; nothing is written.

    Raises:
        CheckpointError: when its files are damaged.
        ConfigError: when the folder was given a name that no search may have.
    """
    return read_what(folder), read_place(folder.place)


def open_search(folder: SearchFolder, where: Mapping[str, Any]) -> tuple[SearchSettings, Place]:
    """Return what a search is and where it is to run now; `remember` writes that down once it is known to work.

    A copy of a search gets an identity of its own, or it would log into the MLflow runs of its original.

    Args:
        folder: the search's files.
        where: what of its place is to change; with the data, it stands for a file that is damaged or lost.

    Raises:
        CheckpointError: when its files are damaged.
        ConfigError: naming each value that is not allowed.
    """
    settings, place = read_what(folder), _read_place(folder, where)
    if is_copy(folder):
        settings = replace(settings, search_id=uuid.uuid4().hex)
    return settings, place


def _read_place(folder: SearchFolder, where: Mapping[str, Any]) -> Place:
    try:
        return change_place(read_place(folder.place), dict(where))
    except CheckpointError:
        # All else has a default.
        if "data" not in where:
            raise
        return build_place({**where, "storage": folder.root.parent})


def is_copy(folder: SearchFolder) -> bool:
    """Say whether a folder is a copy of a search that is still where it was; one that is gone was moved here."""
    try:
        home = read_place(folder.place).home
        if home is None or not home.is_dir() or home.samefile(folder.root):
            return False
        return read_settings(SearchFolder(root=home).settings).search_id == read_settings(folder.settings).search_id
    # What cannot be a folder on this machine is none; without a place the search is taken for the original.
    except (CheckpointError, OSError):
        return False


def remember(folder: SearchFolder, settings: SearchSettings, place: Place) -> None:
    """Write down where a search runs now, and whether it is another one than before.

    Args:
        folder: the search's files; its driver holds the lock of a stage.
        settings: as `open_search` returned them; of these only the identity is written.
        place: where it runs.
    """
    stored = read_settings(folder.settings)
    if stored.search_id != settings.search_id:
        write_settings(replace(stored, search_id=settings.search_id), folder.settings)
    write_place(place, folder.place)
