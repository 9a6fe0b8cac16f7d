"""`SearchSettings`: what a search is, and the only place of its defaults and descriptions.

Saved as `settings.json` in the search's folder. Where it runs lives in `place`; what a training depends on, in
`segcore.config`; where files of a search lie, in `folder`.
"""

import re
import shlex
import uuid
from codecs import BOM_UTF8
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import pydantic
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from segcore.config import TrainConfig
from segcore.counting import count_words
from segcore.data.dividing.split import DEFAULT_FOLDS, SplitKind
from segcore.errors import CheckpointError, ConfigError
from segcore.regular import read_regular
from segcore.replacing import write_lasting
from segcore.scoring.objective import FIRST_METRIC, METRIC_HELP, default_objective, describe_unknown

_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_NAME: Final = 100
_LONGEST_NUMBER: Final = 100
_TOLD_LETTERS: Final = 300
_AND_LATENCY: Final = ",latency_ms"
_DEVICES: Final = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_TAKEN: Final = {"mlartifacts", "mlruns", "default"}
_DATABASE: Final = "mlflow.db"
NEWER: Final = "a newer version of street-search may have written it"


def _check_name(name: str) -> str:
    """Refuse a name that cannot be a folder on every system, or that MLflow has for itself."""
    plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) and not name.endswith(".")
    if not plain or len(name) > _LONGEST_NAME:
        raise ValueError(
            f"a name is at most {_LONGEST_NAME} of the letters a-z and A-Z, digits, '.', '_' and '-', begins with a "
            "letter or a digit and ends with no dot; choose such a one"
        )
    lower = name.lower()
    # SQLite puts its journals beside its file, under its name with an ending.
    if lower in _TAKEN or lower.startswith(_DATABASE) or lower.partition(".")[0] in _DEVICES:
        raise ValueError("this name is kept for MLflow's own files or by Windows; choose another")
    return name


def name_metric(objective: str) -> str:
    """Return the metric of an objective, with latency or without."""
    return objective.removesuffix(_AND_LATENCY)


def _check_objective(objective: str) -> str:
    """Refuse what is no metric; which classes there are is known only with the data."""
    if objective and (fault := describe_unknown(name_metric(objective))):
        raise ValueError(f"{fault}, alone or as NAME{_AND_LATENCY}")
    return objective


def _check_first(first: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Refuse what an edited file holds in place of configurations."""
    for each in first:
        kinds = {name: type(value) for name, value in each.items()}
        if kinds != {"values": dict, "params": dict, "drawable": bool}:
            raise ValueError("each configuration to try first has values, params and drawable")
        try:
            TrainConfig.from_values(each["values"])
        except ConfigError as error:
            raise ValueError(str(error)) from None
    return first


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class SearchSettings:
    """The settings of one search; build it with `build_settings`, which turns mistakes into `ConfigError`."""

    name: Annotated[str, AfterValidator(_check_name), Field(description="name of the search")]
    space: Annotated[
        str, Field(description="street, street_small, street_offline, contest, demo, or package.module:function")
    ] = "street"
    trials: Annotated[int, Field(ge=1, le=1_000_000, description="configurations to try")] = 80
    epochs: Annotated[int, Field(ge=1, le=100_000, description="most epochs of a trial")] = 27
    grace_epochs: Annotated[int, Field(ge=0, description="epochs before ASHA may stop a trial; 0: one of 27")] = 0
    reduction_factor: Annotated[int, Field(ge=2, description="of so many trials at a rung, one goes on")] = 2
    split: Annotated[
        SplitKind,
        Field(description="folds, or official: the train and val that came with the data"),
    ] = "folds"
    folds: Annotated[int, Field(ge=1, description="parts the data is divided into")] = DEFAULT_FOLDS
    fold: Annotated[int, Field(ge=0, description="part that trials are scored on")] = 0
    seed: Annotated[int, Field(ge=0, lt=2**31, description="seed of proposals and trainings")] = 0
    fixed: Annotated[dict[str, Any], Field(description="NAME=VALUE for every trial")] = Field(default_factory=dict)
    first: Annotated[
        list[dict[str, Any]],
        AfterValidator(_check_first),
        Field(description="configurations to try first, see `space.first`"),
    ] = Field(default_factory=list)
    known: Annotated[
        int, Field(ge=0, description="most configurations known to be good in the space to try first; 0: none")
    ] = 3
    objective: Annotated[
        str,
        AfterValidator(_check_objective),
        Field(description=f"{METRIC_HELP}; NAME,latency_ms seeks what is fast and good"),
    ] = ""
    max_latency_ms: Annotated[
        float, Field(ge=0, description="most milliseconds of a prediction at full size; 0: no limit")
    ] = 0.0
    max_memory_gib: Annotated[float, Field(ge=0, description="most GPU memory of it; 0: no limit")] = 0.0
    confirm: Annotated[int, Field(ge=0, description="best configurations to train on further folds; 0: none")] = 3
    confirm_folds: Annotated[int, Field(ge=1, description="most further folds of them, or seeds on the only one")] = 2
    time_budget_seconds: Annotated[
        float, Field(ge=0, description="end the search after 90m, 2h, 1d, ...; 0: never")
    ] = 0.0
    search_id: Annotated[str, Field(description="tells this search from others of its name")] = Field(
        default_factory=lambda: uuid.uuid4().hex
    )

    @property
    def weighs_latency(self) -> bool:
        """Whether what is fast and good is sought."""
        return self.objective.endswith(_AND_LATENCY)

    @property
    def metric(self) -> str:
        """The metric that trials are ranked by; the data's layout chooses it at the launch, unless the user did."""
        assert self.objective, "a search is launched with its objective resolved"
        return name_metric(self.objective)

    @property
    def resolved_grace_epochs(self) -> int:
        """Epochs that every trial gets before ASHA may stop it."""
        return min(self.epochs, self.grace_epochs or default_grace_epochs(self.epochs))


def default_grace_epochs(epochs: int) -> int:
    """Return the first rung for trials of so many epochs: early, since who is stopped there may still go on."""
    return max(1, round(epochs / 27))


def build_settings(values: dict[str, Any]) -> SearchSettings:
    """Validate the settings of a search.

    Args:
        values: field names and values.

    Raises:
        ConfigError: naming each value that is not allowed.
    """
    try:
        settings = SearchSettings(**values)
    except pydantic.ValidationError as error:
        raise ConfigError(describe_problems(error)) from None
    if settings.fixed.get("epochs", settings.epochs) != settings.epochs:
        raise ConfigError(
            f"--set epochs={settings.fixed['epochs']} contradicts --epochs {settings.epochs}, which all trials have; "
            "leave --set epochs out."
        )
    if settings.split == "official" and settings.folds != 1:
        raise ConfigError(f"--folds {settings.folds} contradicts --split official, which has 1; leave --folds out.")
    if settings.split == "folds" and settings.folds < 2:
        raise ConfigError(
            f"--folds {settings.folds}: at least 2 are needed, one to validate on and one to train on; or use --split "
            "official, or --folds-file."
        )
    if settings.fold >= settings.folds == 1:
        raise ConfigError(f"--fold {settings.fold} does not exist; there is fold 0 alone, leave --fold out.")
    if settings.fold >= settings.folds:
        raise ConfigError(
            f"--fold {settings.fold} does not exist; with --folds {settings.folds} use 0 to {settings.folds - 1}."
        )
    return settings


def require_name(name: str) -> str:
    """Return a name that a search may have.

    Raises:
        ConfigError: when it may not.
    """
    try:
        return _check_name(name)
    except ValueError as error:
        raise ConfigError(f"{name!r} is no name of a search: {error}.") from None


def change_settings(settings: SearchSettings, changes: dict[str, Any]) -> SearchSettings:
    """Return the settings with changes, validated like new ones.

    Raises:
        ConfigError: naming each value that is not allowed.
    """
    return build_settings({**settings_values(settings), **changes})


def resolve_objective(settings: SearchSettings, layout: str) -> SearchSettings:
    """Return the settings with an objective; one that was left out is chosen by the data's layout.

    Args:
        settings: of a new search.
        layout: name of the data's layout, see `segcore.scoring.objective`.
    """
    return settings if settings.objective else replace(settings, objective=default_objective(layout))


def settings_values(settings: SearchSettings) -> dict[str, Any]:
    """Return every setting by name, as JSON holds it."""
    values: dict[str, Any] = TypeAdapter(SearchSettings).dump_python(settings, mode="json")
    return values


def write_settings(settings: SearchSettings, file: Path) -> None:
    """Write `settings.json` atomically."""
    write_lasting(file, TypeAdapter(SearchSettings).dump_json(settings, indent=1))


def read_settings(file: Path) -> SearchSettings:
    """Read `settings.json`.

    Raises:
        CheckpointError: when it is damaged.
    """
    try:
        settings = TypeAdapter(SearchSettings).validate_json(read_regular(file).removeprefix(BOM_UTF8))
        return settings if settings.objective else replace(settings, objective=FIRST_METRIC)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read ({describe_damage(error)}); {_remedy(error, file)}.") from error


def _remedy(error: Exception, file: Path) -> str:
    problems = error.errors() if isinstance(error, pydantic.ValidationError) else []
    if ("storage",) in [problem["loc"] for problem in problems] and not (file.parent / "place.json").exists():
        best = shlex.quote(str(file.parent / "best.json"))
        return (
            "an earlier version wrote it, whose searches are not gone on with; launch a new search, with "
            f"'--seed-config {best}' to try its best configuration first"
        )
    if "unexpected_keyword_argument" in [problem["type"] for problem in problems]:
        return f"{NEWER}, with which to go on; else, restore it or start a new search"
    return "restore it or start a new search"


def parse_duration(text: str, option: str) -> float:
    """Turn a duration such as 90, 90s, 30m, 2h or 1d into seconds.

    Args:
        text: the duration.
        option: that gave it, such as --wait.

    Raises:
        ConfigError: when it is none.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd]?)", text.strip())
    # What is longer than so many digits is no number of seconds any more.
    if match is None or len(match.group(1)) > _LONGEST_NUMBER:
        raise ConfigError(f"{option} {text!r} is no duration; write a number with s, m, h or d, such as 90m or 2h.")
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
    match = re.fullmatch(r"(\+?)([0-9]+)", text.strip())
    # Of thousands of digits Python makes no number.
    if match is None or len(match.group(2)) > _LONGEST_NUMBER:
        raise ConfigError(f"--trials {text!r} is no number of trials; write 60, or +40 for 40 more.")
    trials = int(match.group(2)) + (settings.trials if match.group(1) else 0)
    if trials < asked:
        raise ConfigError(
            f"--trials {text}: {settings.name!r} has begun {count_words(asked, 'trial')} for good; "
            f"use --trials {asked} or more."
        )
    return trials


def describe_damage(error: Exception) -> str:
    """Say in a line what is wrong with a file, however much of it is wrong."""
    if isinstance(error, pydantic.ValidationError):
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        said = problem["msg"].removeprefix("Value error, ")
        told = f"{place}: {said}" if place else said
    else:
        told = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return told[:_TOLD_LETTERS]


def describe_problems(error: pydantic.ValidationError) -> str:
    """Say which values were refused and why, one a line, by the options that give them."""
    lines = []
    for problem in error.errors():
        name = "--" + str(problem["loc"][0]).replace("_", "-")
        said = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name} {problem['input']!r}: {said[0].lower()}{said[1:]}.")
    return "\n".join(lines)
