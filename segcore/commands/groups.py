"""Options that belong together: a command takes what they say as one value, and several commands may share them.

Typer reads a command's options from its signature, one parameter each. In that of a command `with_groups` a parameter
may be annotated with a `Group` instead, which stands for several options and makes one value of them.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, get_args

Command = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Options that reach a command as one value.

    Args:
        options: parameters, of each of which Typer makes an option or argument.
        build: makes the value of theirs, by name.
    """

    options: tuple[inspect.Parameter, ...]
    build: Callable[[Mapping[str, Any]], Any]

    def make(self, line: Mapping[str, Any]) -> Any:
        """Return the value, of all that a command line says."""
        return self.build({option.name: line[option.name] for option in self.options})


def group_of(build: Callable[..., Any]) -> Group:
    """Return the group whose options are a function's parameters, or a dataclass's fields, and its value the result."""
    options = tuple(_by_name(each) for each in inspect.signature(build).parameters.values())
    return Group(options=options, build=lambda given: build(**given))


def with_groups(command: Command) -> Command:
    """Give a command the options of each group in its signature, where the group stands."""
    signature = inspect.signature(command)
    groups = {name: group for name, each in signature.parameters.items() if (group := _find_group(each)) is not None}
    own = {name: _by_name(each) for name, each in signature.parameters.items() if name not in groups}
    options: list[inspect.Parameter] = []
    for name in signature.parameters:
        options += groups[name].options if name in groups else (own[name],)

    @wraps(command)
    def run(**line: Any) -> None:
        made = {name: group.make(line) for name, group in groups.items()}
        command(**{name: line[name] for name in own}, **made)

    run.__signature__ = signature.replace(parameters=options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _find_group(parameter: inspect.Parameter) -> Group | None:
    return next((note for note in get_args(parameter.annotation)[1:] if isinstance(note, Group)), None)


def _by_name(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
