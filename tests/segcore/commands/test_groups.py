from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from segcore.commands.groups import group_of, with_groups
from segcore.errors import ConfigError


def read_area(
    height: Annotated[int, typer.Option(help="pixels")] = 2, width: Annotated[int, typer.Option(help="pixels")] = 3
) -> int:
    if height < 1:
        raise ConfigError(f"--height {height}: at least 1.")
    return height * width


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    folder: Annotated[str, typer.Argument(help="of images")]
    suffix: Annotated[str, typer.Option(help="of files")] = ".png"


@with_groups
def tell(
    source: Annotated[Source, group_of(Source)],
    out: Annotated[str, typer.Argument(help="file")],
    times: Annotated[int, typer.Option(help="how often")] = 1,
    *,
    area: Annotated[int, group_of(read_area)],
) -> None:
    """Say what was given."""
    typer.echo(f"{source.folder} {source.suffix} {out} {times} {area}")


def call(*arguments):
    app = typer.Typer()
    app.command()(tell)
    return CliRunner().invoke(app, arguments)


def test_a_group_reaches_the_command_as_one_value_of_what_is_given_and_of_defaults():
    assert call("images", "out.json").output == "images .png out.json 1 6\n"
    given = call("images", "out.json", "--width", "5", "--times", "4", "--height", "7", "--suffix", ".jpg")
    assert given.output == "images .jpg out.json 4 35\n"


def test_options_stand_in_the_help_where_their_groups_stand_in_the_signature():
    told = call("--help").output
    assert "Say what was given." in told
    places = [told.index(name) for name in ("--suffix", "--times", "--height", "--width")]
    assert places == sorted(places)


def test_what_makes_no_value_is_refused_before_the_command_begins():
    with pytest.raises(ConfigError, match="--height 0: at least 1"):
        raise call("images", "out.json", "--height", "0").exception
