"""What the commands show while a stage runs and when it has ended; the tables themselves are in `tables`."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from rich.console import RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from search.commands import tables, verdict_tables
from search.commands.console import PlainConsole, console
from search.folder import SearchFolder
from search.insight.importance import measure_importance
from search.memory.best import metric_of, place_of
from search.memory.history import History
from search.memory.journal import read_history
from search.memory.outcome import FAILURES, Outcome
from search.settings import SearchSettings
from search.tracking_uri import mask_uri
from search.verdict.notes import confirmation_line
from search.verdict.selection import choose_candidates

if TYPE_CHECKING:
    from search.run.capacity import Capacity
    from search.stages.stage import OpenStage
    from search.tracking.follower import Tracker

_LOG_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 2.0


@contextmanager
def decoding_shown(label: str = "decoding images") -> Iterator[Callable[[int, int], None]]:
    """Show how far the data is prepared; yields what is to be told, done and in all."""
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("cache", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def stage_shown(opened: "OpenStage", capacity: "Capacity") -> Iterator[None]:
    """Show a stage while it runs: a live table on a terminal, a line a minute elsewhere.

    Args:
        opened: the stage.
        capacity: how many trials run at a time, and what is waited for.
    """
    stage, history = opened.stage, opened.stage.journal.history
    search = None
    if opened.name != "search":
        search = read_history(stage.folder.search_journal, history.metric)
    budget_seconds = stage.settings.time_budget_seconds if opened.name == "search" else 0.0
    shown = replace(stage.settings, trials=opened.trials, time_budget_seconds=budget_seconds)

    def tell_mlflow() -> str | None:
        problem = opened.tracker.problem
        return f"MLflow waits ({problem}); nothing is lost" if problem else None

    def tell_bucket() -> str | None:
        problem = opened.copier.problem if opened.copier is not None else None
        return f"the bucket waits ({problem}); everything is on this machine" if problem else None

    def render() -> RenderableType:
        about = [line for line in (capacity.lack, tell_bucket(), tell_mlflow()) if line]
        about += [] if opened.tracker.problem else [f"MLflow: {mask_uri(stage.place.tracking_uri)}"]
        about.append(f"logs: {stage.folder.trial(0).parent}/NUMBER/log.txt")
        wide = console.width >= tables.WIDE
        return tables.progress_panel(
            history, shown, concurrent=capacity.count(), about="\n".join(about), wide=wide, search=search
        )

    log = ProgressLog(
        lambda: tables.summary_line(history, shown, capacity.count(), search),
        waits=(
            Wait(tell=tell_mlflow, over="MLflow is back and gets what it missed"),
            Wait(tell=tell_bucket, over="the bucket is back and gets what it missed"),
            Wait(tell=lambda: capacity.lack, over="there is a node for trials", is_urgent=True),
        ),
        find_warnings=lambda: [warning.message for warning in history.warnings],
        status=stage.folder.command("status"),
    )
    with _shown_live(render, log):
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Something that may be waited for; a log says once that it is, and once that it is over.

    Args:
        tell: returns what is waited for, or None.
        over: what is said afterwards.
        is_urgent: whether it is said at once, not with the next line.
    """

    tell: Callable[[], str | None]
    over: str
    is_urgent: bool = False


class ProgressLog:
    """What a log file or a job's output gets instead of a moving table: a line now and then, and what changed.

    Args:
        summarise: returns the line.
        waits: what may be waited for.
        find_warnings: returns all that is to be told once, the latest last.
        status: the command that tells as much as these lines.
        out: where lines go.
        err: where it is said that nobody reads them any more.
    """

    def __init__(
        self,
        summarise: Callable[[], RenderableType],
        *,
        status: str,
        waits: Sequence[Wait] = (),
        find_warnings: Callable[[], list[str]] = list,
        out: PlainConsole = console,
        err: PlainConsole | None = None,
    ) -> None:
        self._summarise = summarise
        self._waits = waits
        self._waiting: set[Wait] = set()
        self._find_warnings = find_warnings
        # Those of earlier runs were told then.
        self._warnings_told = len(find_warnings())
        self._status = status
        self._out = out
        self._err = err or PlainConsole(stderr=True)
        self._is_cut = False

    def tell(self) -> None:
        """Print what is new and the line; and once, that nobody reads the output any more."""
        self.tell_news()
        self._out.print(self._summarise())
        self.notice_cut()

    def tell_news(self) -> None:
        """Print, once, what is to be told, and what is waited for, or no more."""
        self._notice(self._waits)
        for warning in self._find_warnings()[self._warnings_told :]:
            self._warnings_told += 1
            self._out.print(warning, style="yellow", soft_wrap=True, markup=False)

    def notice_urgent(self) -> None:
        """Print of what is waited for, or no more, that which is not to wait for the next line."""
        self._notice([wait for wait in self._waits if wait.is_urgent])

    def _notice(self, waits: Sequence[Wait]) -> None:
        for wait in waits:
            told = wait.tell()
            if (told is not None) is not (wait in self._waiting):
                self._waiting ^= {wait}
                self._out.print(told or wait.over, style="yellow", soft_wrap=True, markup=False)

    def notice_cut(self) -> None:
        """Say once that nobody reads the output any more."""
        if self._out.is_cut and not self._is_cut:
            self._is_cut = True
            told = f"The output is closed; the search goes on without it, see '{self._status}'."
            self._err.print(told, soft_wrap=True)


def show_unsent(tracker: "Tracker", folder: SearchFolder) -> None:
    """Say so when MLflow has not everything of a stage that was left, and what it does not take."""
    show_set_aside(tracker)
    if tracker.lack is not None:
        console.print(
            f"{tracker.lack} Nothing is lost: run '{folder.command('sync')}' when it answers.",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def show_set_aside(tracker: "Tracker") -> None:
    """Say what MLflow does not take, which is left out there."""
    for name, reason in tracker.set_aside.items():
        console.print(f"MLflow does not take {name} ({reason}).", style="yellow", markup=False)


@contextmanager
def _shown_live(render: Callable[[], RenderableType], log: ProgressLog) -> Iterator[None]:
    log.notice_cut()
    if console.is_terminal:
        try:
            with Live(get_renderable=render, console=console, refresh_per_second=2, transient=True):
                yield
        finally:
            log.tell_news()
        return
    done = threading.Event()

    def follow() -> None:
        told = time.monotonic()
        while not done.wait(_LOOK_SECONDS):
            log.notice_urgent()
            if time.monotonic() - told >= _LOG_SECONDS:
                told = time.monotonic()
                log.tell()

    thread = threading.Thread(target=follow, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        log.tell_news()


def show_failed_trainings(settings: SearchSettings, folder: SearchFolder) -> None:
    """Say which trainings of the confirmation have no score, and what to do."""
    candidates = choose_candidates(read_history(folder.search_stage.journal, settings.metric), settings)
    sources = {trial.number for trial in candidates}
    confirmation = read_history(folder.confirm_stage.journal, settings.metric)
    trainings = [trial for trial in confirmation.in_order if trial.source in sources]
    failed = [
        trial
        for trial in trainings
        if trial.outcome in FAILURES or (trial.outcome is Outcome.FINISHED and trial.best is None)
    ]
    if not failed:
        return
    last = failed[-1]
    where = f"on fold {last.fold}" if settings.folds > 1 else f"with seed {last.values['seed']}"
    said = f"{last.outcome}: {last.message.strip()[-1000:]}".rstrip(": ")
    again = "Mend the cause" if last.outcome is Outcome.FAILED else "Where a worker failed, mend the cause"
    console.print(
        f"{len(failed)} of {len(trainings)} trainings of the confirmation have no score; the last, of trial "
        f"{last.source} {where}, {said}. {again}, then try again with "
        f"'{folder.command('confirm')}'.",
        style="yellow",
        soft_wrap=True,
        markup=False,
    )


def show_front(settings: SearchSettings, history: History) -> None:
    """Show what can be had between fast and good, where the search was asked to."""
    if settings.weighs_latency:
        console.print(verdict_tables.front_table(history))
        limited = " within the limits" if settings.max_latency_ms or settings.max_memory_gib else ""
        console.print(
            f"best.json holds the best {settings.metric}{limited}; ASHA and the model sought all that no other trial "
            "beats in both.",
            soft_wrap=True,
        )


def show_importance(settings: SearchSettings, history: History) -> None:
    """Show what mattered, once enough trials tell; it takes two seconds, so it comes after all else."""
    importances = measure_importance(history, settings.epochs)
    if importances:
        console.print(tables.importance_table(importances, settings.metric))


def show_best(found: dict[str, Any]) -> None:
    """Show the winner, and how far it is confirmed."""
    console.print(verdict_tables.best_table(found))
    if "confirmation" in found:
        console.print(verdict_tables.confirmation_table(found["confirmation"]))
        console.print(confirmation_line(found["confirmation"], metric_of(found)))
    else:
        told = f"Chosen by its score on {place_of(found)} alone, the best of {found['trials']} trials: it flatters."
        console.print(told, style="yellow")
