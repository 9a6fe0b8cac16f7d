"""Opens a search for a command, and says what its user must know of it."""

from typing import TYPE_CHECKING, Final

from search.commands.console import warn
from search.commands.options import Values, option_of
from search.folder import SearchFolder
from search.opening import is_copy, open_search, read_what
from search.place import Place
from search.settings import SearchSettings, settings_values
from segcore.counting import count_words
from segcore.data.dividing.split import read_folds
from segcore.errors import ConfigError

if TYPE_CHECKING:
    from segcore.data.dividing.own_folds import OwnFolds

_OWN: Final = {"name", "search_id", "first"}
"""Settings that a command line does not say, or that follow from files which may be gone by now."""


def open_told(folder: SearchFolder, where: Values) -> tuple[SearchSettings, Place]:
    """Return what a search is and where it is to run now; say so when the folder is a copy of another.

    Args:
        folder: the search's files.
        where: what of its place is to change.
    """
    settings, place = open_search(folder, where)
    if is_copy(folder):
        warn(f"{folder.root} is a copy of {place.home}: it takes MLflow runs of its own.")
    return settings, place


def require_same(folder: SearchFolder, given: SearchSettings) -> None:
    """Refuse to go on with a search in place of one that was asked for with other settings.

    Args:
        folder: the search's files.
        given: as the command line says it; an objective that it leaves out is the search's.

    Raises:
        CheckpointError: when the search's settings are damaged.
        ConfigError: naming each setting that is another.
    """
    stored, asked = settings_values(read_what(folder)), settings_values(given)
    left_out = _OWN if given.objective else {*_OWN, "objective"}
    other = [name for name in asked if name not in left_out and asked[name] != stored[name]]
    if other:
        told = ", ".join(f"{option_of(name)} (it has {stored[name]}, not {asked[name]})" for name in other)
        raise ConfigError(
            f"--or-resume: search {folder.name!r} has another {told}. Give what it has, change it by "
            f"'{folder.command('resume')}', or launch under another --name."
        )


def require_same_folds(folder: SearchFolder, own: "OwnFolds") -> None:
    """Refuse to go on with a search in place of one that was asked for with other folds of one's own.

    Args:
        folder: the search's files.
        own: what --folds-file says now.

    Raises:
        CheckpointError: when the search's folds are damaged.
        ConfigError: naming an image that is in another fold.
    """
    moved = sorted({name for name, _ in read_folds(folder.folds).fold_of.items() ^ own.fold_of.items()})
    if moved:
        raise ConfigError(
            f"--or-resume: --folds-file {own.file} has {count_words(len(moved), 'image')} in another fold than search "
            f"{folder.name!r}, such as {moved[0]!r}. Give the file as it was, go on without one by "
            f"'{folder.command('resume')}', or launch under another --name."
        )
