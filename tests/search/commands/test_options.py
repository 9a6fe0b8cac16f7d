import inspect
from dataclasses import fields
from typing import Annotated, get_args, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from search.__main__ import app
from search.commands.options import WHAT, WHERE, WHERE_NOW, Name, What, Where, WhereNow, options_of
from search.place import Place, build_place
from search.settings import SearchSettings, build_settings
from segcore.commands.groups import with_groups
from segcore.errors import ConfigError

NO_OPTION = {"first", "search_id", "home", "storage"}


@pytest.mark.parametrize(("kind", "options"), [(SearchSettings, WHAT), (Place, WHERE), (Place, WHERE_NOW)])
def test_every_field_has_an_option_with_its_description(kind, options):
    hints = get_type_hints(kind, include_extras=True)
    wanted = {field.name for field in fields(kind)} - NO_OPTION
    assert {option.name for option in options} == wanted
    for option in options:
        described = [note.description for note in get_args(hints[option.name]) if hasattr(note, "description")]
        assert get_args(option.annotation)[1].help in described


def call(command, *arguments: str) -> str:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@with_groups
def begin(what: What, where: Where, more: Annotated[int, typer.Option(help="more")] = 1) -> None:
    what = {**what, "time_budget_seconds": float(what["time_budget_seconds"])}
    assert what.pop("fixed", None) in (None, ["a=1", "b=2"])
    typer.echo(f"{build_settings({**what, 'search_id': '1d'})} {build_place(where)} {more}")


def test_options_that_are_left_out_have_the_defaults_of_the_fields(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings, place = build_settings({"name": "streets", "search_id": "1d"}), build_place({"data": "/data"})
    assert call(begin, "--name", "streets", "--data", "/data") == f"{settings} {place} 1\n"


def test_options_that_are_given_reach_their_fields(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other:1")
    what = {"name": "streets", "search_id": "1d", "trials": 7, "objective": "iou,latency_ms", "time_budget_seconds": 90}
    where = {"data": "/data", "extra": ("/one", "/two"), "gpus_per_trial": 0.5, "tracking_uri": "http://host:5"}
    given = ["--name", "streets", "--trials", "7", "--objective", "iou,latency_ms", "--time-budget", "90"]
    given += ["--data", "/data", "--extra", "/one", "--extra", "/two", "--gpus-per-trial", "0.5"]
    given += ["--tracking-uri", "http://host:5", "--set", "a=1", "--set", "b=2", "--more", "2"]
    assert call(begin, *given) == f"{build_settings(what)} {build_place(where)} 2\n"


def test_mlflows_own_variable_is_the_default_of_a_launch_alone(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert "tracking_uri='http://host:5000'" in call(begin, "--name", "streets", "--data", "/data")
    assert "tracking_uri='sqlite:" in call(begin, "--name", "streets", "--data", "/data", "--tracking-uri", "")
    assert call(go_on, "streets") == "streets {}\n"


@with_groups
def go_on(name: Name, where: WhereNow) -> None:
    typer.echo(f"{name} {where}")


def test_what_is_left_out_stays_as_it_was_and_empty_is_a_value():
    given = ["streets", "--address", "", "--tracking-uri", "", "--max-concurrent", "0", "--data", "/new"]
    told = {"data": "/new", "max_concurrent": 0, "address": "", "tracking_uri": ""}
    assert call(go_on, *given) == f"streets {told}\n"


def test_options_may_be_a_few():
    (option,) = options_of(Place, remembered=True, only={"tracking_uri"})
    assert (option.name, option.default) == ("tracking_uri", None)


def test_field_without_a_default_must_be_given():
    missing = CliRunner().invoke(app, ["launch", "--name", "streets"])
    assert missing.exit_code == 2
    assert "--data" in missing.output


def test_no_command_is_written_with_many_parameters():
    """Their options come from the fields."""
    for command in app.registered_commands:
        written = inspect.signature(inspect.unwrap(command.callback), follow_wrapped=False)
        assert len(written.parameters) <= 7, command.callback


@pytest.mark.parametrize("option", ["--cache", "--storage", "--data"])
def test_an_empty_path_is_refused_before_anything_is_written(option, tmp_path, monkeypatch):
    """As "$CACHE" is, where nobody set it: it would be the folder that one stands in."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["launch", "--name", "s", "--data", str(tmp_path / "none"), option, ""])
    assert f"{option} '': a path is empty" in f"{result.exception} {result.output}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "least"), [("--top", 0), ("--folds", 1)])
def test_number_that_confirm_refuses_is_named_by_its_own_option(option, least, tmp_path):
    given = ["confirm", "streets", option, "-1", "--storage", str(tmp_path)]
    with pytest.raises(ConfigError, match=f"^{option} '-1': input should be greater than or equal to {least}"):
        CliRunner().invoke(app, given, catch_exceptions=False)
