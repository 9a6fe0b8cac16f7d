"""`StrictCommand`: how every command reads its line, so that a mistake is named by the option that has it.

Typer alone lets an option take the next one for its value, leaves out the value that it refuses, and reads an empty
path as the folder one stands in.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperCommand

from segcore.data.caching.disk import EMPTY_PATH
from segcore.errors import ConfigError


class StrictCommand(TyperCommand):
    """A command whose options take no other option for their value, and no empty text for a path."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the values of a command line.

        Args:
            ctx: of the command; one that only completes a line refuses nothing.
            args: the line's words behind the command.

        Raises:
            ConfigError: naming the option and the value that cannot be.
        """
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        self._refuse_swallowed(given)
        self._refuse_empty_paths(given)
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if not isinstance(error.__cause__, ValidationError) or error.param is None:
                raise
            problems = error.__cause__.errors()
            told = [f"{_name(error.param)} {each['input']!r}: {_begin_small(each['msg'])}." for each in problems]
            raise ConfigError("\n".join(told)) from None

    def _refuse_swallowed(self, given: Mapping[str, Any]) -> None:
        options = {name for each in self.params for name in (*each.opts, *each.secondary_opts) if name[0] == "-"}
        for parameter, value in self._values(given):
            if parameter.param_type_name == "option" and value.partition("=")[0] in options:
                name = _name(parameter)
                raise ConfigError(
                    f"{name} has no value: {value}, which follows it, is an option of its own; give {name} a value, or "
                    "leave it out."
                )

    def _refuse_empty_paths(self, given: Mapping[str, Any]) -> None:
        for parameter, value in self._values(given):
            if not value and parameter.type_descriptor.annotation in (Path, list[Path]):
                raise ConfigError(f"{_name(parameter)} '': {EMPTY_PATH}")

    def _values(self, given: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
        """Yield what was given for each parameter, as it stands on the line."""
        for parameter in self.params:
            found = given.get(parameter.name)
            for value in found if isinstance(found, list | tuple) else (found,):
                if isinstance(value, str):
                    yield parameter, value


def _name(parameter: Any) -> str:
    """Return what a person knows a parameter by: its option, or the word for it in the help."""
    name: str = parameter.opts[0]
    return name


def _begin_small(text: str) -> str:
    return f"{text[0].lower()}{text[1:]}"
