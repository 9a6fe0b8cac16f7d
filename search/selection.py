"""Names the winner of a search and writes `best.json`, the seam between searching and retraining."""

import json
import os
from pathlib import Path
from typing import Any

from search.journal import History, Outcome, TrialRecord
from search.settings import SearchSettings
from segcore.config import TrainConfig
from segcore.errors import CheckpointError, ConfigError
from segcore.schedule import LAID_OUT_SCHEDULES


def choose_best(history: History, settings: SearchSettings) -> dict[str, Any]:
    """Return the winner as `best.json` holds it: the trial with the highest iou of any epoch.

    The epochs to retrain for come from the search: the winner's best epoch, or all of its epochs where the rate's
    course is laid out over them.

    Raises:
        CheckpointError: when no trial has a score.
    """
    ranked = [trial for trial in history.ranked if trial.outcome is not Outcome.FAILED]
    if not ranked:
        raise CheckpointError(
            f"Search {settings.name!r} has no trial with a score yet; "
            f"{history.count(Outcome.FAILED)} of {len(history.trials)} failed. Their logs say why."
        )
    winner = ranked[0]
    record = winner.best
    assert record is not None
    return {
        "search": settings.name,
        "trial": winner.number,
        "fold": winner.fold,
        "epoch": record.epoch,
        "metrics": record.metrics,
        "values": {**winner.values, "epochs": _epochs_to_retrain(winner, record.epoch), "patience_epochs": 0},
        "trials": len(history.trials),
    }


def write_best(best: dict[str, Any], file: Path) -> None:
    """Write `best.json` atomically."""
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(best, indent=1), encoding="utf-8")
    temporary.replace(file)


def read_best(file: Path) -> dict[str, Any]:
    """Read `best.json`.

    Raises:
        CheckpointError: when it is missing or damaged, or its values are no configuration.
    """
    try:
        best: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        TrainConfig.from_values(best["values"])
        return best
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(
            f"{file} cannot be read ({error!r}); 'python -m search best NAME' writes it from the search's journal."
        ) from error


def _epochs_to_retrain(winner: TrialRecord, best_epoch: int) -> int:
    laid_out = winner.values["rate_schedule"] in LAID_OUT_SCHEDULES
    return int(winner.values["epochs"]) if laid_out else best_epoch
