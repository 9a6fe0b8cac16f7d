"""`stop`, `prune` and `keep`: steer a running search from any machine that reaches its storage.

Its driver finds what is asked, see `search.requests`. Of a search that nobody runs, this process does it by itself.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from search.commands.console import console
from search.commands.options import Name, Storage
from search.commands.reading import Look, look_at
from search.commands.tables import summary_line
from search.copying import copied
from search.finding import find_folder, lock_idle_stage
from search.folder import GOES_ON, SearchFolder
from search.judge.wishes import Wish, fulfil
from search.memory.journal import Journal
from search.place import DEFAULT_STORAGE
from search.requests import Request, name_asker, send_request
from search.storage import find_bucket
from segcore.errors import CheckpointError

_LOOK_SECONDS: Final = 1.0
_LOOK_SECONDS_IN_BUCKET: Final = 5.0
_NOTICE_SECONDS: Final = 60.0

Number = Annotated[int, typer.Argument(min=0, help="number of the trial, as status shows it")]
Why = Annotated[str, typer.Option(help="a word on the reason, kept with the search")]


def stop(
    name: Name,
    now: Annotated[
        bool, typer.Option("--now", help="give up the epochs that run, instead of waiting for their checkpoints")
    ] = False,
    why: Why = "",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Stop a search that runs, here or elsewhere: its trials finish their epoch and go on from there when it does."""
    folder = find_folder(storage, name)
    look = look_at(folder)
    stage = look.driven
    if not stage:
        console.print(
            f"No process runs {name} ({look.state}); '{folder.command('status')}' says what is next.",
            soft_wrap=True,
        )
        return
    send_request(folder.root, Request(kind="stop", reason=name_asker(why), now=now))
    until = "at once" if now else "when the epochs that run are done (--now gives them up)"
    console.print(f"{name} is asked to stop {until}. Ctrl-C ends this wait alone.", soft_wrap=True)
    _wait(folder, lambda found: not found.driven)
    left = look_at(folder)
    console.print(summary_line(left.record.history, left.record.settings))
    # Only who began a retraining knows which of them were given.
    options = " and its --half and --max-members, if it had any" if stage == "retrain" else ""
    console.print(f"It has stopped; go on with '{folder.command(GOES_ON[stage])}'{options}.", soft_wrap=True)


def prune(name: Name, trial: Number, why: Why = "", storage: Storage = DEFAULT_STORAGE) -> None:
    """End a trial of a search for good: at once while it waits, when its epoch is done while it runs."""
    _steer("prune", name, trial, why, storage)


def keep(name: Name, trial: Number, why: Why = "", storage: Storage = DEFAULT_STORAGE) -> None:
    """Spare a trial of a search from ASHA: it trains to its end, and goes on if it waits."""
    _steer("keep", name, trial, why, storage)


def _steer(wish: Wish, name: str, trial: int, why: str, storage: Path) -> None:
    folder = find_folder(storage, name)
    look, reason = look_at(folder), name_asker(why)
    # What cannot be is refused here, before anyone else is asked.
    fulfil(wish, trial, reason, look.record.history, look.asha)
    if look.driven in ("confirm", "retrain"):
        raise CheckpointError(f"Search {name!r} is {look.state}: its trials are as they are until that has ended.")
    if not look.driven:
        _fulfil_here(folder, wish, trial, reason)
    else:
        send_request(folder.root, Request(kind=wish, trial=trial, reason=reason))
        _wait(folder, lambda found: not found.driven or _is_fulfilled(found, wish, trial), _NOTICE_SECONDS)
    found = look_at(folder)
    console.print(_tell(found, wish, trial), soft_wrap=True)


def _fulfil_here(folder: SearchFolder, wish: Wish, trial: int, reason: str) -> None:
    with lock_idle_stage(folder.search_stage), copied(folder.root):
        # Since the look another may have written.
        look = look_at(folder)
        journal = Journal(folder.search_stage.journal, look.record.metric)
        try:
            look.record.history.halt()
            for event in fulfil(wish, trial, reason, look.record.history, look.asha):
                journal.write(event)
        finally:
            journal.close()


def _is_fulfilled(look: Look, wish: Wish, trial: int) -> bool:
    record = look.record.history.trials[trial]
    return bool(record.pruned) if wish == "prune" else record.kept


def _tell(look: Look, wish: Wish, trial: int) -> str:
    record, command = look.record.history.trials[trial], look.record.folder.command
    if not _is_fulfilled(look, wish, trial):
        return f"The search was asked, and has not taken notice yet; '{command('status')}' shows when it does."
    if wish == "prune":
        ended = f"has ended after epoch {record.last_epoch}" if record.outcome else "ends when its epoch is done"
        return f"Trial {trial} {ended} and goes on no more."
    going = "" if look.driven else f"; '{command('resume')}' goes on with it"
    return f"Trial {trial} is spared from ASHA, and trains to its end{going}."


def _wait(folder: SearchFolder, is_done: Callable[[Look], bool], seconds: float = float("inf")) -> None:
    """Look at a search until something is so, or Ctrl-C or the time ends the wait."""
    pause = _LOOK_SECONDS if find_bucket(folder.root.parent) is None else _LOOK_SECONDS_IN_BUCKET
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and not is_done(look_at(find_folder(folder.root.parent, folder.name))):
        time.sleep(pause)
