"""Shell completion of the names of searches; Typer completes commands and options by itself."""

import typer

from search.finding import list_names
from search.place import DEFAULT_STORAGE
from segcore.errors import StreetError


def complete_name(context: typer.Context, incomplete: str) -> list[str]:
    """Return the searches whose name begins so: of the storage that was given before it, else of the default one.

    Args:
        context: what of the command line is understood already.
        incomplete: what was typed of the name.
    """
    storage = context.params.get("storage") or DEFAULT_STORAGE
    try:
        return [name for name in list_names(storage) if name.startswith(incomplete)]
    # A shell has no place for a message.
    except (StreetError, OSError):
        return []
