from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from segcore.commands.strict import StrictCommand
from segcore.errors import ConfigError
from tests.command_lines import COMMANDS

app = typer.Typer()


@app.command(cls=StrictCommand)
def go(
    place: Path,
    name: Annotated[str, typer.Option()] = "",
    trials: Annotated[int, typer.Option()] = 1,
    factor: Annotated[list[int] | None, typer.Option(min=2)] = None,
    out: Annotated[Path | None, typer.Option()] = None,
    file: Annotated[list[Path] | None, typer.Option()] = None,
    fast: Annotated[bool, typer.Option("--fast")] = False,
) -> None:
    typer.echo(f"{place} {name} {trials} {factor} {out} {file} {fast}")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["x", "--name", "--trials", "5"], "--name has no value: --trials, which follows it, is an option of its own;"),
        (["x", "--name", "--trials=5"], "--name has no value: --trials=5, which follows it"),
        (["x", "--trials", "--fast"], "--trials has no value: --fast"),
        (["x", "--file", "a", "--file", "--out", "b"], "--file has no value: --out"),
    ],
)
def test_option_without_a_value_does_not_take_the_next_option_for_it(line, told):
    with pytest.raises(ConfigError, match=f"^{told}"):
        CliRunner().invoke(app, line, catch_exceptions=False)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["x", "--trials", ""], "--trials '': input should be a valid integer"),
        (["x", "--trials", "1e3"], "--trials '1e3': input should be a valid integer"),
        (["x", "--factor", "3", "--factor", "1"], "--factor '?1'?: input should be greater than or equal to 2"),
    ],
)
def test_value_of_another_type_is_named_with_its_option(line, told):
    with pytest.raises(ConfigError, match=f"^{told}"):
        CliRunner().invoke(app, line, catch_exceptions=False)


@pytest.mark.parametrize(
    ("line", "name"), [(["x", "--out", ""], "--out"), (["x", "--file", "a", "--file="], "--file"), ([""], "place")]
)
def test_empty_path_is_refused_by_its_name(line, name):
    with pytest.raises(ConfigError, match=f"^{name} '': a path is empty, .*write \\. for the folder you are in"):
        CliRunner().invoke(app, line, catch_exceptions=False)


def test_what_can_be_read_is_read_as_it_stands():
    given = ["x", "--name", "-y", "--trials", "-5", "--factor", "2", "--out", ".", "--fast"]
    assert CliRunner().invoke(app, given).output == "x -y -5 [2] . None True\n"
    assert CliRunner().invoke(app, ["--name", "", "--", "--trials"]).output == "--trials  1 None None None False\n"


def test_what_is_missing_or_unknown_is_told_by_the_program_itself():
    assert "Missing argument 'place'" in CliRunner().invoke(app, ["--fast"]).output
    assert "'--name' requires an argument" in CliRunner().invoke(app, ["x", "--name"]).output
    assert "No such option: --trial" in CliRunner().invoke(app, ["x", "--trial", "5"]).output


@pytest.mark.parametrize("program", ["search", "segcore"])
def test_every_command_reads_its_line_so(program):
    for command in COMMANDS[program].commands.values():
        for each in getattr(command, "commands", {"": command}).values():
            assert isinstance(each, StrictCommand), each.name
