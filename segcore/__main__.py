"""`python -m segcore`: puts the commands of `segcore.commands` together; the only place that exits."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # All that is imported takes a second; whoever presses Ctrl-C meanwhile is shown no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from typing import Annotated

import typer

from segcore.commands.caches import cache
from segcore.commands.console import accept_every_text, print_error
from segcore.commands.data import check, score, streets, submit
from segcore.commands.intake import import_app, init
from segcore.commands.looking import errors, explore
from segcore.commands.networks import networks
from segcore.commands.options import as_full_device
from segcore.commands.prediction import predict, tune_predict
from segcore.commands.reuse import export, pseudo_label
from segcore.commands.strict import StrictCommand
from segcore.commands.training import fields, train
from segcore.errors import LeftOutError, StorageError, StreetError
from segcore.version import VERSION

app = typer.Typer(
    help="One segmentation training: check the data, train a fold, predict, score.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    init,
    check,
    explore,
    fields,
    networks,
    train,
    predict,
    tune_predict,
    errors,
    pseudo_label,
    export,
    submit,
    score,
    streets,
    cache,
):
    app.command(cls=StrictCommand)(command)
app.add_typer(import_app, name="import")


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"segcore of street-search {VERSION}")
        raise typer.Exit


@app.callback()
def _take_common(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="print the version and end")
    ] = False,
) -> None:
    """One segmentation training: check the data, train a fold, predict, score."""


def main() -> None:
    """Run the command line; a mistake of the user ends in a message, never in a traceback."""
    accept_every_text()
    try:
        app()
    except LeftOutError as error:
        print_error(error)
        raise SystemExit(1) from None
    except StreetError as error:
        print_error(error)
        raise SystemExit(2) from None
    except OSError as error:
        # A file or a disk that fails is the user's to mend, wherever it is noticed.
        print_error(StorageError(f"{error}; make room, or choose another file or folder."))
        raise SystemExit(2) from None
    except (RuntimeError, MemoryError) as error:
        if (full := as_full_device(error)) is None:
            raise
        print_error(full)
        raise SystemExit(2) from None


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
