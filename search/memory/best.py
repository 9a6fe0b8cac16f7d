"""`best.json`, the seam between searching and retraining; who the winner is, is decided in `verdict`."""

import json
import os
from pathlib import Path
from typing import Any

from search.folder import SearchFolder
from segcore.config import TrainConfig
from segcore.errors import CheckpointError, ConfigError


def confirmation_folds(best: dict[str, Any]) -> list[int]:
    """Return the folds that a winner was confirmed on; none for one that was not."""
    folds: list[int] = best.get("confirmation", {}).get("folds", [])
    return folds


def write_best(best: dict[str, Any], file: Path) -> None:
    """Write `best.json` atomically."""
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(best, indent=1), encoding="utf-8")
    temporary.replace(file)


def read_best(file: Path) -> dict[str, Any]:
    """Read `best.json`; one without a confirmation is whole, too.

    Raises:
        CheckpointError: when it is missing or damaged, or its values are no configuration.
    """
    try:
        best: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        TrainConfig.from_values(best["values"])
        return best
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        command = SearchFolder(root=file.parent).command("best")
        raise CheckpointError(
            f"{file} cannot be read ({error!r}); '{command}' writes it from the search's journal."
        ) from error
