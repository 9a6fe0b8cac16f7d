"""`best.json`, which hands the winner from the search to the retraining; `verdict` decides who wins."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from search.folder import SearchFolder
from search.settings import describe_damage
from segcore.config import TrainConfig
from segcore.errors import CheckpointError, ConfigError, StorageError
from segcore.replacing import replacing
from segcore.scoring.objective import FIRST_METRIC

_CONFIG: Final = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

Number = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class _Confirmation:
    folds: list[Number]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class _Winner:
    """What a retraining needs of `best.json`; anyone may have edited it."""

    search: str
    trial: Number
    fold: Number
    metrics: dict[str, float]
    values: dict[str, Any]
    metric: str = FIRST_METRIC
    confirmation: _Confirmation | None = None

    def __post_init__(self) -> None:
        TrainConfig.from_values(self.values)
        if self.metric not in self.metrics:
            raise ValueError(f"metrics: there is no {self.metric}")


def place_of(best: dict[str, Any]) -> str:
    """Return in words what a winner was scored on in the search."""
    return "the official val" if best.get("split") == "official" else f"fold {best['fold']}"


def confirmation_folds(best: dict[str, Any]) -> list[int]:
    """Return the folds that a winner was confirmed on; none for one that was not."""
    folds: list[int] = (best.get("confirmation") or {}).get("folds", [])
    return folds


def score_of(best: dict[str, Any]) -> float:
    """Return the winner's score in the search, in the metric that decided there."""
    score: float = best["metrics"][metric_of(best)]
    return score


def metric_of(best: dict[str, Any]) -> str:
    """Return the metric that decided who won."""
    metric: str = best.get("metric", FIRST_METRIC)
    return metric


def write_best(best: dict[str, Any], file: Path) -> None:
    """Write `best.json`, whole or not at all.

    Raises:
        StorageError: when it cannot be written.
    """
    try:
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(best, indent=1), encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{file} cannot be written ({error.strerror or error}); make room there, or let it be written."
        ) from error


def read_best(file: Path) -> dict[str, Any]:
    """Read `best.json`; one without a confirmation is whole, too.

    Raises:
        CheckpointError: when it is missing or damaged, or it names no configuration with a score.
    """
    try:
        content = file.read_bytes()
        TypeAdapter(_Winner).validate_json(content)
        best: dict[str, Any] = json.loads(content)
        return best
    except (OSError, ValueError, ConfigError) as error:
        command = SearchFolder(root=file.parent).command("best")
        raise CheckpointError(
            f"{file} cannot be read ({describe_damage(error)}); '{command}' writes it from the search's journal."
        ) from error
