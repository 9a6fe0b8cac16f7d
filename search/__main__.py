"""`python -m search`: puts the commands of `search.commands` together; the only place that exits.

Ends with 0 when what was asked for is done, 1 for a fault of the program itself or of the cluster that `doctor` looked
at, 2 for what the user can mend, 3 for a search that was interrupted and can go on, 130 after Ctrl-C, SIGTERM or
SIGHUP elsewhere.
"""

import errno
import os
import signal

if __name__ == "__main__":
    # All that is imported takes a second. Whoever presses Ctrl-C meanwhile is shown no traceback; what a job manager
    # sends is told, for nobody sees what ended the program.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def _end_early(number: int, frame: object) -> None:
        os.write(2, b"Interrupted before it had begun; the same command begins again.\n")
        os._exit(130)

    heard = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
    for ending in heard:
        if signal.getsignal(ending) is signal.SIG_DFL:
            signal.signal(ending, _end_early)

import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final, NoReturn

import typer

from search.commands.browse import ui
from search.commands.console import PlainConsole, console
from search.commands.doctor import doctor
from search.commands.finish import confirm, fetch, retrain, sync
from search.commands.launch import launch, resume
from search.commands.listing import list_searches
from search.commands.look import best, status
from search.commands.replay import replay
from search.commands.report import compare, report
from search.commands.space import space_app
from search.commands.steering import keep, prune, stop
from search.ending import ENDS
from search.tracking_uri import mask_uri
from segcore.commands.strict import StrictCommand
from segcore.errors import HopelessSearchError, InterruptedSearchError, StreetError, UnfitClusterError
from segcore.version import VERSION

_FAULT: Final = 1
_MISTAKE: Final = 2
_INTERRUPTED: Final = 3
_CTRL_C: Final = 130
_CLOSED: Final = "let this user write there, or choose another folder"
_REMEDIES: Final = {
    errno.ENOSPC: "make room, or choose another disk",
    errno.EDQUOT: "make room, or choose another disk",
    errno.EROFS: _CLOSED,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EIO: "look at that disk, or choose another",
    errno.ESTALE: "look at that share, or choose another folder",
    errno.EMFILE: "let this process open more files by 'ulimit -n 4096'",
}
"""What a machine refuses, and what its user does then."""

app = typer.Typer(
    help="Distributed hyperparameter search for semantic segmentation of street scenes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("list", cls=StrictCommand)(list_searches)
for command in (
    launch,
    resume,
    status,
    stop,
    prune,
    keep,
    best,
    replay,
    report,
    compare,
    confirm,
    retrain,
    fetch,
    sync,
    ui,
    doctor,
):
    app.command(cls=StrictCommand)(command)
app.add_typer(space_app, name="space")


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"street-search {VERSION}")
        raise typer.Exit


@app.callback()
def _take_common(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="print the version and end")
    ] = False,
) -> None:
    """Distributed hyperparameter search for semantic segmentation of street scenes."""


def main() -> None:
    """Run the command line; a mistake of the user ends in a message, never in a traceback."""
    try:
        with _ending_as_interrupted():
            app()
    except SystemExit as end:
        if end.code != _CTRL_C:
            raise
        if (untold := _find_untold(end)) is not None:
            _end_on_mistake(untold)
        PlainConsole(stderr=True).print("Interrupted; the same command begins again, or goes on.", style="yellow")
        raise
    except StreetError as error:
        _end_on_mistake(error)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _REMEDIES:
            _end_on_refusal(error, _REMEDIES[error.errno])
        # A bug is told whole, but for passwords, which libraries repeat with the address that holds them.
        sys.stderr.write(mask_uri(traceback.format_exc()))
        raise SystemExit(_FAULT) from None


@contextmanager
def _ending_as_interrupted() -> Iterator[None]:
    """Take what else ends a process as Ctrl-C is taken, which leaves nothing behind.

    Under nohup a hang-up stays ignored. While Ray is used, `run.cluster` does so.
    """
    is_main = threading.current_thread() is threading.main_thread()
    heeded = [each for each in ENDS if is_main and signal.getsignal(each) is signal.SIG_DFL]
    for each in heeded:
        signal.signal(each, signal.default_int_handler)
    try:
        yield
    finally:
        for each in heeded:
            signal.signal(each, signal.SIG_DFL)


def _find_untold(end: BaseException) -> InterruptedSearchError | None:
    """Return what was to be said of an interrupted search when a further Ctrl-C came."""
    found: BaseException | None = end
    while found is not None and not isinstance(found, InterruptedSearchError):
        found = found.__context__
    return found


def _end_on_mistake(error: StreetError) -> NoReturn:
    PlainConsole(stderr=True).print(mask_uri(str(error)), style="red", soft_wrap=True, highlight=False)
    raise SystemExit(_find_code(error)) from None


def _end_on_refusal(error: OSError, remedy: str) -> NoReturn:
    place = error.filename or "where this command writes, or where its output is sent"
    told = f"{error.strerror} ({place}): {remedy}; a search goes on by 'resume'."
    PlainConsole(stderr=True).print(mask_uri(told), style="red", soft_wrap=True, highlight=False)
    console.drop_refused()
    raise SystemExit(_MISTAKE) from None


def _find_code(error: StreetError) -> int:
    if isinstance(error, UnfitClusterError):
        return _FAULT
    can_go_on = isinstance(error, InterruptedSearchError) and not isinstance(error, HopelessSearchError)
    return _INTERRUPTED if can_go_on else _MISTAKE


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for ending in ENDS:
        if signal.getsignal(ending) is _end_early:
            signal.signal(ending, signal.SIG_DFL)
    main()
