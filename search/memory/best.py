"""`best.json`, which hands the winner from the search to the retraining; `verdict` decides who wins."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from search.folder import SearchFolder
from search.settings import describe_damage
from segcore.config import TrainConfig
from segcore.errors import CheckpointError, ConfigError, StorageError
from segcore.regular import read_regular
from segcore.replacing import write_lasting
from segcore.scoring.objective import FIRST_METRIC

# The file is JSON, where whole numbers of a score have no point and keys are texts; anyone may have edited it.
_CONFIG: Final = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

Number = Annotated[int, Field(ge=0)]

Ends = tuple[float, float]
"""Lower and upper end of an interval."""


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Configuration:
    """A trial of the search and what it was trained with.

    Args:
        trial: its number.
        values: every `TrainConfig` value.
    """

    trial: Number
    values: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Finalist:
    """How one of the best configurations did on further folds; the arguments are those of `verdict.decision.Contender`.

    Args:
        score: mean of `fold_scores`; None without one.
    """

    trial: Number
    search_score: float
    fold_scores: dict[int, float]
    score: float | None
    interval: Ends | None = None
    difference: Ends | None = None
    image_difference: Ends | None = None
    dismissed: str = ""
    doubt: str = ""

    @property
    def verdict(self) -> str:
        """How it stands beside the winner, in words."""
        return self.dismissed or self.doubt or "the winner"


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Confirmation:
    """What the trainings on further folds said, or with further seeds where there is one fold.

    Args:
        told: over what, in words.
        score: of the winner, the mean over rounds.
        interval: of that, over images; None where it cannot be told.
        folds: that were taken into account; empty where seeds were.
        further_seeds: likewise.
        optimism: by how much the winner's score in the search was above it.
        best_of: how many configurations have a score here.
        choice_bias: by how much the best of so many flatters at most; None where nothing tells.
        rivals: trials that cannot be told from the winner.
        contenders: all that were trained, the winner first.
        methods: how intervals were worked out, by their names.
    """

    told: str
    score: float
    interval: Ends | None = None
    folds: list[Number]
    further_seeds: list[Number] = Field(default_factory=list)
    optimism: float
    best_of: Number
    choice_bias: float | None = None
    rivals: list[Number]
    contenders: list[Finalist]
    methods: dict[str, str] = Field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """How many folds or seeds there were."""
        return len(self.further_seeds or self.folds)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Winner:
    """The best configuration, as far as is known.

    Args:
        search: the search's name.
        trial: its number.
        split: folds, or official where the data came divided.
        fold: that it was scored on in the search.
        epoch: after which it was best there.
        metric: that decides.
        metrics: all of them after that epoch, by name.
        values: every `TrainConfig` value, to retrain it with.
        trials: of how many it is the best.
        confirmation: None before it is confirmed.
    """

    search: str
    trial: Number
    split: str = "folds"
    fold: Number
    epoch: Number
    metric: str = FIRST_METRIC
    metrics: dict[str, float]
    values: dict[str, Any]
    trials: Number
    confirmation: Confirmation | None = None

    def __post_init__(self) -> None:
        TrainConfig.from_values(self.values)
        if self.metric not in self.metrics:
            raise ValueError(f"metrics: there is no {self.metric}")

    def is_trained_by(self, values: Mapping[str, Any]) -> bool:
        """Say whether a training of these values is of this configuration; on an only fold there are several seeds."""
        return {**values, "seed": 0} == {**self.values, "seed": 0}

    @property
    def score(self) -> float:
        """Its score in the search, in the metric that decided there."""
        return self.metrics[self.metric]

    @property
    def place(self) -> str:
        """What it was scored on in the search, in words."""
        return "the official val" if self.split == "official" else f"fold {self.fold}"

    @property
    def confirmation_folds(self) -> list[int]:
        """Folds that it was confirmed on; none for one that was not."""
        return self.confirmation.folds if self.confirmation is not None else []


_ADAPTER: Final = TypeAdapter(Winner)


def describe_winner(winner: Winner) -> dict[str, Any]:
    """Return what `best.json` holds of a winner; `confirmation` is left out before there is one."""
    content: dict[str, Any] = _ADAPTER.dump_python(winner, mode="json")
    if winner.confirmation is None:
        del content["confirmation"]
    return content


def write_best(winner: Winner, file: Path) -> None:
    """Write `best.json`, whole or not at all; one that says the same stays, for who may read it alone.

    Raises:
        StorageError: when it cannot be written.
    """
    text = json.dumps(describe_winner(winner), indent=1)
    with suppress(OSError, ValueError):
        if read_regular(file) == text.encode():
            return
    try:
        write_lasting(file, text.encode())
    except OSError as error:
        raise StorageError(
            f"{file} cannot be written ({error.strerror or error}); make room there, or let it be written."
        ) from error


def read_best(file: Path) -> Winner:
    """Read `best.json`; one without a confirmation is whole, too.

    Raises:
        CheckpointError: when it is missing or damaged, or it names no configuration with a score.
    """
    try:
        winner = _ADAPTER.validate_json(read_regular(file))
        # Whatever shows or trains it asks for its values by name.
        return replace(winner, values=TrainConfig.from_values(winner.values).values())
    except (OSError, ValueError, ConfigError) as error:
        command = SearchFolder(root=file.parent).command("best")
        raise CheckpointError(
            f"{file} cannot be read ({describe_damage(error)}); '{command}' writes it from the search's journal."
        ) from error
