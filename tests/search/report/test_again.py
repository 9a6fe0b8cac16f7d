import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from search.__main__ import app
from search.report.again import launch_command, next_commands, reproduce, train_command
from search.settings import parse_duration
from segcore.__main__ import app as segcore
from segcore.config import TrainConfig

FOLDS = Path("searches/streets/folds.json")
DIVISIONS = [
    ({"folds": 3, "fold": 1}, "--folds 3"),
    ({"split": "official", "folds": 1}, "--split official"),
    ({"split": "own", "folds": 3}, f"--folds-file {FOLDS}"),
]


def options_of(command: str) -> dict[str, str]:
    words = shlex.split(command)
    return {word: words[place + 1] for place, word in enumerate(words) if word.startswith("--")}


def test_a_search_is_launched_again_with_what_it_was_launched_with(make_settings, make_place):
    settings = make_settings(trials=12, fixed={"batch_size": 16, "ema_decay": 0.5}, time_budget_seconds=3600, folds=3)
    told = options_of(launch_command(settings, make_place(gpus_per_trial=0.5), FOLDS))
    expected = {"--name": "streets-again", "--trials": "12", "--time-budget": "3600", "--folds": "3"}
    assert expected.items() <= told.items()
    assert told["--gpus-per-trial"] == "0.5"
    assert "--set batch_size=16 --set ema_decay=0.5" in launch_command(settings, make_place(), FOLDS)
    help_text = re.sub(r"\s+", " ", CliRunner().invoke(app, ["launch", "--help"], env={"COLUMNS": "400"}).output)
    assert all(option in help_text for option in told)


def test_both_are_trained_again_on_the_data_that_joined_them(make_settings, make_place):
    place = make_place(extra=["/a b", "/more"], layout="pairs")
    values = TrainConfig.from_values({}).values()
    for command in (
        launch_command(make_settings(), place, FOLDS),
        train_command(values, make_settings(), place, FOLDS),
    ):
        assert "--extra '/a b' --extra /more --layout pairs" in command


def test_a_long_time_is_written_out(make_settings, make_place):
    command = launch_command(make_settings(time_budget_seconds=30 * 86400.0), make_place(), FOLDS)
    assert parse_duration(options_of(command)["--time-budget"], "--time-budget") == 30 * 86400


@pytest.mark.parametrize(("changes", "told"), DIVISIONS)
def test_a_search_is_launched_again_on_the_same_division_of_the_data(make_settings, make_place, changes, told):
    command = launch_command(make_settings(**changes), make_place(), FOLDS)
    assert told in command
    assert sum(option in command for option in ("--folds ", "--split ", "--folds-file ")) == 1


@pytest.mark.parametrize(("changes", "told"), DIVISIONS)
def test_the_winner_is_trained_alone_by_what_it_differs_in(make_settings, make_place, changes, told):
    values = TrainConfig.from_values({"backbone": "resnet18", "learning_rate": 0.002}).values()
    command = train_command(values, make_settings(**changes), make_place(data="my data"), FOLDS)
    assert command.startswith("python -m segcore train ")
    assert "my data'" in command
    assert "--set backbone=resnet18 --set learning_rate=0.002" in command
    assert told in command
    help_text = re.sub(r"\s+", " ", CliRunner().invoke(segcore, ["train", "--help"], env={"COLUMNS": "400"}).output)
    assert all(option in help_text for option in options_of(command))


def test_origins_and_next_commands_are_told(matter):
    page = reproduce(matter).content
    assert "digest of folds.json" in page
    assert "torch there" in page
    commands = re.findall(r"python -m search (\w+)", next_commands(matter).content)
    known = {command.callback.__name__ for command in app.registered_commands}
    assert set(commands) <= known


def test_of_a_winner_and_of_failures_there_are_commands_where_there_are_any(
    make_record, make_matter, make_trials, make_best
):
    failed = make_matter(make_record(make_trials({"ious": [], "outcome": "failed"})))
    won = make_matter(make_record(make_trials({"ious": [0.5]}), best=make_best()))
    of_failed, of_won = (
        re.sub("<[^>]*>", "", next_commands(matter).content.replace("</span>", " ")) for matter in (failed, won)
    )
    assert "resume streets --retry-failed" in of_failed
    assert "--retry-failed" not in of_won
    # One that diverged is not tried again.
    diverged = make_matter(make_record(make_trials({"ious": [], "outcome": "diverged"})))
    assert "--retry-failed" not in next_commands(diverged).content
    assert [f"search {name} streets" in of_failed for name in ("confirm", "retrain")] == [False, False]
    assert [f"search {name} streets" in of_won for name in ("confirm", "retrain")] == [True, True]
