"""How to do it again: the commands that launch the search and train its winner, what they ran on, and what is next."""

import hashlib
import json
import platform
import shlex
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from search.judge.progress import RETRIED
from search.place import Place
from search.report.matter import Matter, command_block
from search.settings import SearchSettings, build_settings, settings_values
from search.storage import name_storage
from segcore.config import TrainConfig
from segcore.counting import count_words
from segcore.insight.page import Markup, Row, Section, data_table, element, join, paragraph

_PACKAGES: Final = ("torch", "torchvision", "timm", "albumentations", "ray", "optuna", "mlflow", "numpy")
_STATED: Final = {"time_budget_seconds": "--time-budget"}
_NO_OPTION: Final = {"name", "search_id", "first", "fixed", "objective", "split", "folds"}
"""Not told as others are."""
_DIGEST_LETTERS: Final = 16


def reproduce(matter: Matter) -> Section:
    """Return how to do it again."""
    record = matter.record
    count = len(record.settings.first)
    first = f" It began with {count_words(count, 'configuration')}, given or known to be good." if count else ""
    parts = [
        element("h3", "The search"),
        command_block([launch_command(record.settings, record.place, record.folder.folds)]),
        paragraph(
            "The same seed draws the same configurations until results differ: which trial ends first depends on the "
            f"machines, and what is proposed next on that.{first}",
            "hint",
        ),
    ]
    if record.best is not None:
        best = record.best
        parts += [
            element("h3", "The winner alone"),
            command_block([train_command(best.values, record.settings, record.place, record.folder.folds)]),
            element("h3", "The winner's configuration"),
            command_block([json.dumps(_changed(best.values), indent=1)]),
            paragraph("What is left out has its default; all of it stands in best.json.", "hint"),
        ]
    parts += [element("h3", "What it ran on"), _origins(matter)]
    hint = "What to run to have it again, here or elsewhere, and what it depended on."
    return Section(title="How to do it again", hint=hint, content=join(parts))


def next_commands(matter: Matter) -> Section:
    """Return what can be run next."""
    folder, record = matter.record.folder, matter.record
    has_failed = any(trial.outcome in RETRIED for trial in record.history.in_order)
    of_winner = {
        "train the best on further folds": folder.command("confirm"),
        "make the model": folder.command("retrain"),
    }
    commands = {
        "how far it is": folder.command("status"),
        "browse its trials in MLflow": shlex.join(["python", "-m", "search", "ui", *_where(record.place)]),
        "go on with what is left, or with more trials": folder.command("resume", "--trials", "+40"),
        **({"try again what failed": folder.command("resume", "--retry-failed")} if has_failed else {}),
        **(of_winner if record.best is not None else {}),
        "what ASHA would have done under other settings": folder.command("replay"),
        "this page anew": folder.command("report"),
        "beside another search": folder.command("compare", "OTHER"),
    }
    rows: list[Row] = [[told, Markup(f"<code>{element('span', command)}</code>")] for told, command in commands.items()]
    table = element("div", data_table(["to", "run"], rows), "verdict")
    return Section(title="What to run next", hint="Each line can be pasted.", content=table)


def launch_command(settings: SearchSettings, place: Place, folds: Path) -> str:
    """Return the command line that would launch a search like this one under a new name.

    Args:
        settings: of the search.
        place: where it ran.
        folds: the file of its folds.
    """
    defaults = settings_values(build_settings({"name": "x"}))
    options = ["--data", place.data, "--name", f"{settings.name}-again", "--objective", settings.objective]
    options += _say_division(settings, folds)
    for name, value in settings_values(settings).items():
        if name not in _NO_OPTION and value != defaults[name]:
            options += [_STATED.get(name, f"--{name.replace('_', '-')}"), _say(value)]
    options += [part for name, value in settings.fixed.items() for part in ("--set", f"{name}={_say(value)}")]
    options += ["--gpus-per-trial", f"{place.gpus_per_trial:g}", "--cpus-per-trial", f"{place.cpus_per_trial:g}"]
    options += _say_data(place)
    return shlex.join(["python", "-m", "search", "launch", *options, *_where(place)])


def train_command(values: Mapping[str, Any], settings: SearchSettings, place: Place, folds: Path) -> str:
    """Return the command line that trains a configuration on the search's own fold.

    Args:
        values: of the configuration.
        settings: of the search.
        place: where it ran.
        folds: the file of its folds.
    """
    chosen = [part for name, value in _changed(values).items() for part in ("--set", f"{name}={_say(value)}")]
    where = ["--out", "winner", "--fold", str(settings.fold), *_say_division(settings, folds), *_say_data(place)]
    return shlex.join(["python", "-m", "segcore", "train", place.data, *where, "--objective", settings.metric, *chosen])


def _say_division(settings: SearchSettings, folds: Path) -> list[str]:
    if settings.split == "own":
        return ["--folds-file", str(folds)]
    return ["--split", "official"] if settings.split == "official" else ["--folds", str(settings.folds)]


def _say_data(place: Place) -> list[str]:
    extra = [part for each in place.extra for part in ("--extra", each)]
    return [*extra, *(["--layout", place.layout] if place.layout else [])]


def _changed(values: Mapping[str, Any]) -> dict[str, Any]:
    defaults = TrainConfig.from_values({}).values()
    return {name: value for name, value in values.items() if value != defaults.get(name)}


def _say(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, float) and value == round(value) else str(value)


def _where(place: Place) -> list[str]:
    return ["--storage", name_storage(place.storage)]


def _origins(matter: Matter) -> Markup:
    record = matter.record
    rows: list[Row] = [
        ["data", record.place.data],
        ["digest of its cache", record.history.cache_key or "–"],
        ["digest of folds.json", _digest(record.folder.folds.read_bytes()) if record.folder.folds.is_file() else "–"],
        ["identity of the search", record.settings.search_id],
        ["where this page was made", f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"],
        *([f"{name} there", found] for name in _PACKAGES if (found := _version(name))),
    ]
    return data_table(["what", "which"], rows)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGEST_LETTERS]
