"""The options of the commands, made from the fields of `SearchSettings` and `Place`: their types, defaults and help."""

import inspect
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import typer

from search.commands.completion import complete_name
from search.place import DEFAULT_STORAGE, Place
from search.settings import SearchSettings
from search.storage import locate_storage
from search.tracking_uri import VARIABLE
from segcore.commands.groups import Group
from segcore.data.caching.disk import read_path

Values = dict[str, Any]
"""Field names and values that were given, or have a default; what was left out is not in it."""

Name = Annotated[str, typer.Argument(help="name of the search", autocompletion=complete_name)]
Storage = Annotated[
    Path, typer.Option(parser=locate_storage, metavar="FOLDER", help="folder of all searches, or s3://BUCKET/FOLDER")
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs instead, as docs/json.md says")]

_STATED: Final[dict[str, tuple[str, Any]]] = {
    "fixed": ("--set", list[str]),
    "time_budget_seconds": ("--time-budget", str),
    "objective": ("--objective", str),
    "extra": ("--extra", list[str]),
    "data": ("--data", str),
    "split": ("--split", str),
    "wait_seconds": ("--wait", str),
    "hang_after_seconds": ("--hang-after", str),
}
"""Fields whose option has another name or type than they have."""

_LEFT_OUT: Final = {"first", "search_id", "storage", "home"}
"""Fields that are no option of their own."""

_DEPENDS: Final = {"folds"}
"""Fields whose default is another one with some other option: left out, they are not given."""

_ENVIRONMENT: Final = {"tracking_uri": VARIABLE}

Options = tuple[inspect.Parameter, ...]


def options_of(kind: type, *, remembered: bool = False, only: Collection[str] | None = None) -> Options:
    """Return an option for each field of a dataclass.

    Args:
        kind: `SearchSettings` or `Place`; the descriptions of its fields are the help.
        remembered: whether what is left out stays as it is, instead of taking the field's default.
        only: fields that have an option; None: all.
    """
    hints = get_type_hints(kind, include_extras=True)
    wanted = [field for field in fields(kind) if field.name not in _LEFT_OUT and (only is None or field.name in only)]
    return tuple(_option(field.name, hints[field.name], None if remembered else field.default) for field in wanted)


def describe_fields(kind: type) -> dict[str, str]:
    """Return what the fields of `SearchSettings` or `Place` are, by name."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: _describe(hints[field.name]) for field in fields(kind)}


def _option(name: str, hint: Any, default: Any) -> inspect.Parameter:
    """Return the parameter from which Typer makes the option of a field; without a default it must be given."""
    kind, description = get_args(hint)[0], _describe(hint)
    option, kind = option_of(name), _STATED.get(name, ("", kind))[1]
    if get_origin(kind) is list:
        default = None
    elif kind is str and isinstance(default, float):
        default = f"{default:g}"
    must_be_given = default is MISSING
    shown = str(default) if name in _DEPENDS and default is not None else True
    default = None if name in _DEPENDS else default
    variable = _ENVIRONMENT.get(name) if default is not None else None
    stated = typer.Option(
        option,
        parser=read_path if kind is Path else None,
        metavar="FOLDER" if kind is Path else None,
        help=description,
        envvar=variable,
        show_default=shown,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if must_be_given else default,
        annotation=Annotated[kind if must_be_given else kind | None, stated],
    )


def _describe(hint: Any) -> str:
    return next(str(note.description) for note in get_args(hint)[1:] if getattr(note, "description", None))


def option_of(name: str) -> str:
    """Return the option that gives a field of `SearchSettings` or `Place`."""
    return _STATED.get(name, (f"--{name.replace('_', '-')}",))[0]


def leave_out(given: Mapping[str, Any]) -> Values:
    """Return what was given, or has a default, without what was left out."""
    # An empty list is an option that may be repeated and was left out.
    return {name: value for name, value in given.items() if value not in (None, [])}


def as_values(options: Options) -> Group:
    """Return the group of options that a command gets by name, without those that were left out."""
    return Group(options=options, build=leave_out)


_STORAGE: Final = inspect.Parameter(
    "storage", inspect.Parameter.KEYWORD_ONLY, default=DEFAULT_STORAGE, annotation=Storage
)

WHAT: Final = options_of(SearchSettings)
WHERE: Final = options_of(Place)
WHERE_NOW: Final = options_of(Place, remembered=True)
TRACKING_NOW: Final = options_of(Place, remembered=True, only={"tracking_uri"})

What = Annotated[Values, as_values(WHAT)]
"""Every setting of a new search."""
Where = Annotated[Values, as_values((*WHERE, _STORAGE))]
"""Where a new search runs, its storage included."""
WhereNow = Annotated[Values, as_values(WHERE_NOW)]
"""What of a search's place is to change."""
TrackingNow = Annotated[Values, as_values(TRACKING_NOW)]
"""Where its MLflow is by now."""
