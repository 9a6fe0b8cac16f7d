"""Opens a search for a command, and says what its user must know of it."""

from search.commands.console import console
from search.commands.options import Values
from search.folder import SearchFolder
from search.opening import is_copy, open_search
from search.place import Place
from search.settings import SearchSettings


def open_told(folder: SearchFolder, where: Values) -> tuple[SearchSettings, Place]:
    """Return what a search is and where it is to run now; say so when the folder is a copy of another.

    Args:
        folder: the search's files.
        where: what of its place is to change.
    """
    settings, place = open_search(folder, where)
    if is_copy(folder):
        console.print(
            f"{folder.root} is a copy of {place.home}: it takes MLflow runs of its own.", style="yellow", soft_wrap=True
        )
    return settings, place
