"""The progress of a running stage as lines for a log file or a job's output; a terminal gets a live table instead."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from rich.console import RenderableType
from rich.live import Live

from search.commands.console import PlainConsole, console
from search.commands.tables import describe_reason, describe_score
from search.insight.words import describe_values
from search.memory.history import History, TrialRecord
from search.memory.outcome import tell_last_line

_LOG_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 2.0


class TrialNews:
    """Tells once of each trial that ended, and of each that lost its worker; one that went on may end again.

    Args:
        history: the trials of before, of which all is known.
        noun: what they are; trainings of another stage have numbers of their own.
    """

    def __init__(self, history: History, noun: str = "trial") -> None:
        self._noun = noun
        self._ends = {(trial.number, trial.ended) for trial in history.in_order}
        self._restarts = {trial.number: trial.restarts for trial in history.in_order}

    def pop(self, history: History) -> list[str]:
        """Return a line for each trial that lost a worker since, and one for each that ended, in the order of ends."""
        trials = history.in_order
        restarted = [trial for trial in trials if trial.restarts > self._restarts.get(trial.number, 0)]
        ended = [trial for trial in trials if trial.ended is not None and (trial.number, trial.ended) not in self._ends]
        self._restarts |= {trial.number: trial.restarts for trial in restarted}
        self._ends |= {(trial.number, trial.ended) for trial in ended}
        return [
            *(describe_restart(trial, self._noun) for trial in restarted),
            *(
                describe_end(trial, history.metric, self._noun)
                for trial in sorted(ended, key=lambda trial: trial.ended or 0)
            ),
        ]


def describe_restart(trial: TrialRecord, noun: str) -> str:
    """Return in a line from where a trial goes on that lost its worker, and why it did."""
    where = f"goes on after epoch {trial.checkpoint_epoch}" if trial.checkpoint else "begins anew"
    return f"{noun} {trial.number} lost its worker and {where}: {tell_last_line(trial.fault)}".rstrip(": ")


def describe_end(trial: TrialRecord, metric: str, noun: str = "trial") -> str:
    """Return in a line how a trial ended, what it reached and what it was."""
    best = f", best {metric} {describe_score(trial.best.score)}" if trial.best else ""
    reason = f" ({reason})" if (reason := describe_reason(trial)) else ""
    return f"{noun} {trial.number} {trial.outcome} after epoch {trial.last_epoch}{best}{reason}: " + describe_values(
        trial.values
    )


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
        pop_news: returns a line for each trial that has ended, or lost its worker, since it was called last.
        status: the command that tells as much as these lines.
        out: where lines go.
        err: where it is said that they are lost.
    """

    def __init__(
        self,
        summarise: Callable[[], RenderableType],
        *,
        status: str,
        waits: Sequence[Wait] = (),
        find_warnings: Callable[[], list[str]] = list,
        pop_news: Callable[[], list[str]] = list,
        out: PlainConsole = console,
        err: PlainConsole | None = None,
    ) -> None:
        self._summarise = summarise
        self._waits = waits
        self._waiting: set[Wait] = set()
        self._find_warnings = find_warnings
        self._pop_news = pop_news
        # Those of earlier runs were told then.
        self._warnings_told = len(find_warnings())
        self._status = status
        self._out = out
        self._err = err or PlainConsole(stderr=True)
        self._is_cut = False

    def tell(self) -> None:
        """Print what is new and the line; and once, that the output takes no more."""
        self.tell_news()
        self._print(self._summarise(), soft_wrap=False)
        self.notice_cut()

    def tell_news(self) -> None:
        """Print each new warning once, and what the stage has begun or ceased to wait for."""
        self._notice(self._waits)
        for warning in self._find_warnings()[self._warnings_told :]:
            self._warnings_told += 1
            self._print(warning, style="yellow")

    def notice_urgent(self) -> None:
        """Print what trials did, and the waits that are too urgent to be left for the next line."""
        for line in self._pop_news():
            self._print(line, highlight=False)
        self._notice([wait for wait in self._waits if wait.is_urgent])

    def _notice(self, waits: Sequence[Wait]) -> None:
        for wait in waits:
            told = wait.tell()
            if (told is not None) is not (wait in self._waiting):
                self._waiting ^= {wait}
                self._print(told or wait.over, style="yellow")

    def _print(
        self, shown: RenderableType, style: str | None = None, *, soft_wrap: bool = True, highlight: bool | None = None
    ) -> None:
        try:
            self._out.print(shown, style=style, soft_wrap=soft_wrap, highlight=highlight)
        except OSError:
            # A full disk of a log is no reason to end a search whose own has room.
            self._out.drop_refused()
            self.notice_cut()

    def notice_cut(self) -> None:
        """Say once that the output takes no more."""
        if self._out.is_cut and not self._is_cut:
            self._is_cut = True
            told = f"The output is closed or full; the search goes on without it, see '{self._status}'."
            # Both may go to the same disk.
            with suppress(OSError):
                self._err.print(told, soft_wrap=True)


@contextmanager
def shown_live(render: Callable[[], RenderableType], log: ProgressLog) -> Iterator[None]:
    """Show something that changes: in place on a terminal, by a log elsewhere.

    Args:
        render: returns what a terminal shows.
        log: tells it elsewhere.
    """
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
        log.notice_urgent()
        log.tell_news()
