"""The command that shows which encoders and decoders fit."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from segcore.commands.console import console
from segcore.networks.families import DECODERS, Network, try_families


def networks(
    backbones: Annotated[
        list[str] | None, typer.Argument(help="timm models or mit_b0 to mit_b5; none: every kind")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="a list for programs, all at the end")] = False,
) -> None:
    """Show which encoders and decoders fit, and how large they are together: millions of parameters.

    The decoders have their default width. It tries shapes alone and takes seconds a row.
    What is told of one network of a family holds for its larger ones.
    """
    found = try_families(backbones or ())
    if as_json:
        console.print(json.dumps([asdict(network) for network in found], indent=1), soft_wrap=True, highlight=False)
        return
    for line in _head():
        console.print(line, soft_wrap=True)
    for network in found:
        console.print(describe_row(network), soft_wrap=True)


def describe_row(network: Network) -> str:
    """Return a network's row of the table, in Markdown."""
    numbers = [f"{count / 1e6:.1f}" if count else "-" for count in network.parameters.values()]
    sides = f"{'crop' if network.takes_one_size else network.stride}"
    return _row(network.family or "-", network.backbone, sides, *numbers)


def _head() -> tuple[str, str]:
    names = ("family", "backbone", "sides", *DECODERS)
    return _row(*names), _row(*(["---"] * len(names)))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
