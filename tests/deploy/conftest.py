"""What the tests of files for clusters share: the pins, and whether a command line would be understood."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import ray.scripts.scripts
import typer

import search.__main__
import segcore.__main__

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "search": typer.main.get_command(search.__main__.app),
    "segcore": typer.main.get_command(segcore.__main__.app),
    "ray": ray.scripts.scripts.cli,
}


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def pins() -> dict[str, str]:
    """The version of each requirement by its name, without extras."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?==([\w.]+)", line) for line in lines]
    return {match.group(1): match.group(2) for match in found if match}


@pytest.fixture(scope="session")
def understand() -> Callable[[str], dict[str, object]]:
    """Return a function that parses a command line as its program does, and returns the values of its options.

    It raises for unknown commands and options, missing ones and values of another type; nothing runs.
    """

    def parse(line: str) -> dict[str, object]:
        words = shlex.split(line, comments=True)
        if words[:2] in (["python", "-m"], ["python3", "-m"]):
            words = words[2:]
        command, name = COMMANDS[words[0]], words[0]
        arguments = words[1:]
        while hasattr(command, "commands"):
            assert arguments and arguments[0] in command.commands, f"{name} has no command {arguments[:1]}"
            name, command, arguments = arguments[0], command.commands[arguments[0]], arguments[1:]
        context: click.Context = command.make_context(name, arguments)
        return dict(context.params)

    return parse
