"""`python -m search`: its commands, as rooms of `commands` have them. It exits."""

import sys
import traceback

import typer

from search.commands.browse import ui
from search.commands.console import PlainConsole
from search.commands.doctor import doctor
from search.commands.finish import confirm, fetch, retrain, sync
from search.commands.launch import launch, resume
from search.commands.look import best, status
from search.commands.replay import replay
from search.commands.report import report
from search.tracking_uri import mask_uri
from segcore.errors import StreetError, UnfitClusterError

app = typer.Typer(
    help="Distributed hyperparameter search for semantic segmentation of street scenes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (launch, resume, status, best, replay, report, confirm, retrain, fetch, sync, ui, doctor):
    app.command()(command)


def main() -> None:
    """Run the command line; a mistake of the user ends in a message, never in a traceback."""
    try:
        app()
    except StreetError as error:
        PlainConsole(stderr=True).print(mask_uri(str(error)), style="red", soft_wrap=True, highlight=False)
        raise SystemExit(1 if isinstance(error, UnfitClusterError) else 2) from None
    except Exception:
        # A bug is told whole, but for passwords, which libraries repeat with the address that holds them.
        sys.stderr.write(mask_uri(traceback.format_exc()))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
