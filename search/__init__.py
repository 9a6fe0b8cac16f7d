"""Many trainings, many machines: Ray Tune runs them, ASHA lets the weak wait, Optuna draws, MLflow shows."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.results import Results

# Ray cannot be imported by a user who has no home, such as one whom a container knows by number alone.
if os.path.expanduser("~") == "~":  # noqa: PTH111
    os.environ["HOME"] = "/nonexistent"

# A cluster whose head found a token asks for it, but a driver sends its own only when told so before Ray is imported.
_TOKEN_NAMES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
if any(name in os.environ for name in _TOKEN_NAMES) or (Path.home() / ".ray" / "auth_token").is_file():
    os.environ.setdefault("RAY_AUTH_MODE", "token")


def load(name: str, storage: str | Path = "searches") -> "Results":
    """Return what a search has found, as tables and arrays; see `search.results`.

    Args:
        name: of the search.
        storage: folder of all searches, or the address of one in a bucket.

    Raises:
        CheckpointError: when there is none of that name, or its files are damaged.
        ConfigError: when the storage is no path and no address.
        StorageError: when a bucket cannot be read.
    """
    # Commands import `search` too, and need no tables.
    from search.results import load_results

    return load_results(name, storage)
