"""`launch --dry-run`: what a search would do and take, from its settings and a short measurement; nothing is begun."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.table import Table

from search.commands.console import console, warn
from search.folder import STAGE_TITLES
from search.insight.cost import name_device_hours
from search.insight.forecast import (
    ModeTime,
    Rung,
    StageForecast,
    expect_epochs,
    expect_rungs,
    forecast_stages,
    group_modes,
)
from search.insight.sharing import describe_sharing
from search.insight.words import describe_seconds
from search.place import Place
from search.settings import SearchSettings
from segcore.counting import count_words

if TYPE_CHECKING:
    from search.run.capacity import Capacity
    from search.run.measuring import Measured
    from segcore.data.caching.cache import PixelCache
    from segcore.data.dividing.split import FoldSplit

_EACH: Final = 2
"""Configurations of each input mode that are measured."""


def show_forecast(settings: SearchSettings, capacity: "Capacity", cache: "PixelCache", split: "FoldSplit") -> None:
    """Measure a few configurations and say what the search would do and take.

    Args:
        settings: of the search.
        capacity: the nodes that it would run on.
        cache: the decoded data.
        split: the folds.
    """
    from search.run.measuring import draw_values
    from search.space.draw import space_facts

    rungs = expect_rungs(settings)
    console.print(describe_rungs(settings, rungs), soft_wrap=True)
    groups = group_modes(draw_values(settings, space_facts(cache)))
    count = sum(min(_EACH, len(group)) for group in groups.values())
    console.print(f"Measuring {count_words(count, 'configuration')} on a few images each ...", style="dim")
    measured = _measure(settings, capacity, cache, split, groups)
    modes = [_sum_up(mode, group, groups, measured) for mode, group in groups.items()]
    at_once = max(1, capacity.count())
    console.print(modes_table(modes, on_gpu=bool(capacity.place.gpus_per_trial)))
    console.print(stages_table(forecast_stages(settings, capacity.place, modes, at_once), capacity.place, at_once))
    if told := advise_sharing(measured):
        console.print(told, soft_wrap=True)
    for problem in dict.fromkeys(problem for mode in modes for problem in mode.problems):
        warn(f"Not measured: {problem}")
    console.print("Nothing was begun, and only decoded images were kept; leave --dry-run out to begin.")


def describe_rungs(settings: SearchSettings, rungs: Sequence[Rung]) -> str:
    """Say how many trials are expected to get how far."""
    told = ", ".join(f"{rung.trials} to epoch {rung.epoch}" for rung in rungs)
    epochs, whole = expect_epochs(settings), settings.trials * settings.epochs
    return (
        f"{count_words(settings.trials, 'trial')}; as ASHA decides, about {told}: {epochs:,} epochs, of the {whole:,} "
        "that all would take without it."
    )


def modes_table(modes: Sequence[ModeTime], *, on_gpu: bool) -> Table:
    """Return how long an epoch takes, and a training's start, by input mode."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="An epoch", title_justify="left")
    for name in ("input", "drawn", "seconds", "start, seconds", "GPU memory" if on_gpu else "memory"):
        table.add_column(name, justify="left" if name == "input" else "right", overflow="fold")
    for mode in modes:
        memory = f"{mode.memory_gib:.1f} GiB" if mode.seconds else "-"
        seconds, starts = _describe_range(mode.seconds), _describe_range(mode.start_seconds)
        table.add_row(mode.mode, f"{mode.share:.0%}", seconds, starts, memory)
    return table


def stages_table(stages: Sequence[StageForecast], place: Place, at_once: int) -> Table:
    """Return what each stage would take, and all together."""
    title = f"What it would take, {count_words(at_once, 'trial')} at a time"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for name in ("stage", "trainings", "epochs", "starting", "time", name_device_hours(place)):
        table.add_column(name, justify="left" if name == "stage" else "right", overflow="fold")
    for each in stages:
        trainings = str(each.trainings) if each.stage == "search" else f"up to {each.trainings}"
        starting = "-" if math.isnan(each.start_share) else f"{each.start_share:.0%}"
        hours = _describe_hours(each.hours, each.device_hours)
        table.add_row(STAGE_TITLES[each.stage], trainings, f"{each.epochs:,}", starting, *hours)
    together = (sum(getattr(each, name) for each in stages) for name in ("hours", "device_hours"))
    table.add_row("together", "", "", "", *_describe_hours(*together), style="bold")
    return table


def _measure(
    settings: SearchSettings,
    capacity: "Capacity",
    cache: "PixelCache",
    split: "FoldSplit",
    groups: dict[str, list[dict[str, Any]]],
) -> "list[Measured]":
    from search.run.measuring import measure_epochs
    from search.run.stage import make_job

    job = make_job(settings, capacity.place, cache, split)
    chosen = [values for group in groups.values() for values in group[:_EACH]]
    return measure_epochs(chosen, job, capacity, settings.fold)


def advise_sharing(measured: "Sequence[Measured]") -> str:
    """Say how many trials the memory of a GPU holds; empty where that is not known, or no two fit."""
    known = [each for each in measured if not each.problem]
    # A batch that is fitted to the memory takes all there is.
    if not known or any(each.values.get("batch_size") == "auto" for each in known):
        return ""
    return describe_sharing(max(each.occupied_gib for each in known), min(each.gpu_gib for each in known))


def _sum_up(
    mode: str, group: Sequence[object], groups: Mapping[str, Sequence[object]], measured: "Sequence[Measured]"
) -> ModeTime:
    found = [each for each in measured if each.values["input_mode"] == mode]
    known = [each for each in found if not each.problem]
    return ModeTime(
        mode=mode,
        share=len(group) / sum(map(len, groups.values())),
        seconds=tuple(each.epoch_seconds for each in known),
        start_seconds=tuple(each.start_seconds for each in known),
        memory_gib=max((each.memory_gib for each in known), default=0.0),
        problems=tuple(each.problem for each in found if each.problem),
    )


def _describe_range(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    low, high = f"{min(seconds):.3g}", f"{max(seconds):.3g}"
    return low if low == high else f"{low} to {high}"


def _describe_hours(hours: float, device_hours: float) -> tuple[str, str]:
    if math.isnan(hours):
        return "-", "-"
    return describe_seconds(hours * 3600), f"{device_hours:.2f}"
