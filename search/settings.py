"""`SearchSettings`: everything a search was started with, and the only place of its defaults.

Saved as `settings.json` in the search's folder, so that `resume` and `retrain` need only the search's name.
What a training depends on lives in `segcore.config`; where files of a search lie lives in `layout`.
"""

import os
import re
import uuid
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pydantic
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from segcore.errors import CheckpointError, ConfigError

DEFAULT_STORAGE: Final = Path("searches")
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class SearchSettings:
    """The settings of one search; build it with `build_settings`, which turns mistakes into `ConfigError`."""

    data: Annotated[Path, Field(description="data-set folder, at the same path on every node")]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the search")]
    extra: Annotated[
        tuple[Path, ...],
        Field(description="data sets that are trained on too and never validated, see segcore.data.extra"),
    ] = ()
    space: Annotated[str, Field(description="street, demo, or package.module:function")] = "street"
    trials: Annotated[int, Field(ge=1, description="configurations to try")] = 80
    epochs: Annotated[int, Field(ge=1, description="most epochs of a trial")] = 27
    grace_epochs: Annotated[int, Field(ge=0, description="epochs before ASHA may stop a trial; 0: one of 27")] = 0
    reduction_factor: Annotated[int, Field(ge=2, description="of so many trials at a rung, one goes on")] = 2
    folds: Annotated[int, Field(ge=2, description="parts the data is divided into")] = 7
    fold: Annotated[int, Field(ge=0, description="part that trials are scored on")] = 0
    seed: Annotated[int, Field(ge=0, lt=2**31, description="seed of proposals and of trainings")] = 0
    fixed: Annotated[dict[str, Any], Field(description="TrainConfig values that hold for every trial")] = Field(
        default_factory=dict
    )
    first: Annotated[list[dict[str, Any]], Field(description="configurations to try first, see `prior`")] = Field(
        default_factory=list
    )
    gpus_per_trial: Annotated[float, Field(ge=0, description="GPUs per trial; 0.5 lets two share one")] = 0.0
    cpus_per_trial: Annotated[float, Field(gt=0, description="processor cores per trial")] = 1.0
    max_concurrent: Annotated[
        int, Field(ge=0, description="most trials at a time; 0: as many as the cluster holds")
    ] = 0
    max_failures: Annotated[int, Field(ge=0, description="restarts of a trial whose worker or node died")] = 3
    objective: Annotated[
        Literal["iou", "iou,latency_ms"],
        Field(description="iou; iou,latency_ms: all that no other trial beats in both"),
    ] = "iou"
    max_latency_ms: Annotated[float, Field(ge=0, description="most milliseconds of a prediction; 0: no limit")] = 0.0
    max_memory_gib: Annotated[float, Field(ge=0, description="most GPU memory of a prediction; 0: no limit")] = 0.0
    confirm: Annotated[
        int, Field(ge=0, description="best configurations that are trained on further folds; 0 or 1: none")
    ] = 3
    confirm_folds: Annotated[int, Field(ge=1, description="most further folds of them")] = 2
    time_budget_seconds: Annotated[float, Field(ge=0, description="stop after so long; 0: never")] = 0.0
    address: Annotated[str, Field(description="Ray cluster: auto or HOST:PORT; empty: start a local Ray")] = ""
    tracking_uri: Annotated[str, Field(description="MLflow: http://HOST:PORT or sqlite:///FILE")] = ""
    storage: Annotated[Path, Field(description="folder of all searches, shared by all nodes")] = DEFAULT_STORAGE
    cache: Annotated[Path, Field(description="folder of decoded images, local to each node")] = Path(
        "~/.cache/street-search"
    )
    search_id: Annotated[str, Field(description="tells this search from others of its name")] = Field(
        default_factory=lambda: uuid.uuid4().hex
    )

    @property
    def weighs_latency(self) -> bool:
        """Whether what is fast and good is sought."""
        return self.objective != "iou"

    @property
    def resolved_grace_epochs(self) -> int:
        """Epochs that every trial gets before ASHA may stop it."""
        return min(self.epochs, self.grace_epochs or default_grace_epochs(self.epochs))


def default_grace_epochs(epochs: int) -> int:
    """Return the first rung for trials of so many epochs: early, since who is stopped there may still go on."""
    return max(1, round(epochs / 27))


def build_settings(values: dict[str, Any]) -> SearchSettings:
    """Validate the settings of a search and make its paths absolute.

    Args:
        values: field names and values.

    Raises:
        ConfigError: naming each value that is not allowed.
    """
    try:
        settings = SearchSettings(**values)
    except pydantic.ValidationError as error:
        raise ConfigError(_describe(error)) from None
    if settings.fold >= settings.folds:
        raise ConfigError(
            f"fold={settings.fold} does not exist; with folds={settings.folds} use 0 to {settings.folds - 1}."
        )
    _refuse_impossible_resources(settings)
    storage = settings.storage.expanduser().resolve()
    absolute = {
        "data": settings.data.expanduser().resolve(),
        "extra": tuple(folder.expanduser().resolve() for folder in settings.extra),
        "storage": storage,
        "cache": settings.cache.expanduser().resolve(),
        "tracking_uri": settings.tracking_uri or f"sqlite:///{storage / 'mlflow.db'}",
    }
    return SearchSettings(**{**settings_values(settings), **absolute})


def change_settings(settings: SearchSettings, changes: dict[str, Any]) -> SearchSettings:
    """Return the settings with changes, validated like new ones.

    Raises:
        ConfigError: naming each value that is not allowed.
    """
    return build_settings({**settings_values(settings), **changes})


def _refuse_impossible_resources(settings: SearchSettings) -> None:
    if settings.gpus_per_trial > 1 and settings.gpus_per_trial % 1:
        raise ConfigError(
            f"--gpus-per-trial {settings.gpus_per_trial:g}: a share of a GPU is below 1, and more are whole; "
            f"use {int(settings.gpus_per_trial)} or {int(settings.gpus_per_trial) + 1}."
        )
    if settings.address.startswith("ray://"):
        raise ConfigError(
            f"--address {settings.address}: a driver behind Ray Client cannot keep the search's journal; start on a "
            "machine of the cluster with --address auto, or by 'ray job submit'."
        )


def settings_values(settings: SearchSettings) -> dict[str, Any]:
    """Return every setting by name, as JSON holds it."""
    values: dict[str, Any] = TypeAdapter(SearchSettings).dump_python(settings, mode="json")
    return values


def write_settings(settings: SearchSettings, file: Path) -> None:
    """Write `settings.json` atomically."""
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(TypeAdapter(SearchSettings).dump_json(settings, indent=1))
    temporary.replace(file)


def read_settings(file: Path) -> SearchSettings:
    """Read `settings.json`.

    Raises:
        CheckpointError: when it is damaged.
    """
    try:
        return TypeAdapter(SearchSettings).validate_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}); restore it or start a new search.") from error


def parse_duration(text: str) -> float:
    """Turn a duration such as 90, 90s, 30m, 2h or 1d into seconds.

    Raises:
        ConfigError: when it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is no duration; write a number with s, m, h or d, such as 90m or 2h.")
    return float(match.group(1)) * _UNIT_SECONDS[match.group(2) or "s"]


def parse_trials(text: str, settings: SearchSettings, asked: int) -> int:
    """Turn a number of trials, or +N for N more than the search has, into how many it is to have.

    Args:
        text: such as 60 or +40.
        settings: of the search.
        asked: trials that it has begun.

    Raises:
        ConfigError: when it is none, or less than what there is.
    """
    match = re.fullmatch(r"(\+?)(\d+)", text.strip())
    if match is None:
        raise ConfigError(f"--trials {text!r} is no number of trials; write 60, or +40 for 40 more.")
    trials = int(match.group(2)) + (settings.trials if match.group(1) else 0)
    if trials < asked:
        raise ConfigError(
            f"--trials {text}: {settings.name!r} has begun {asked} trials, which stay; use --trials {asked} or more."
        )
    return trials


def _describe(error: pydantic.ValidationError) -> str:
    lines = []
    for problem in error.errors():
        name = "--" + str(problem["loc"][0]).replace("_", "-") if problem["loc"] else "settings"
        lines.append(f"{name} {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}.")
    return "\n".join(lines)
