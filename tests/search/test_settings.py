import json

import pytest

from search.settings import (
    build_settings,
    parse_duration,
    parse_trials,
    read_settings,
    resolve_objective,
    settings_values,
    write_settings,
)
from segcore.errors import CheckpointError, ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400), ("1.5h", 5400), (" 5 m ", 300)],
)
def test_durations(text, seconds):
    assert parse_duration(text, "--wait") == seconds


@pytest.mark.parametrize("text", ["", "h", "-5m", "2 weeks", "1h30m", "1e3", "٣h", "9" * 400])
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match="such as 90m or 2h") as caught:
        parse_duration(text, "--wait")
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"trials": 0}, ("--trials 0", "greater than or equal to 1")),
        ({"trials": 10**30}, ("less than or equal to 1000000",)),
        ({"epochs": 27, "fixed": {"epochs": 5}}, ("--set epochs=5 contradicts --epochs 27",)),
        ({"epochs": -3}, ("--epochs -3", "greater than or equal to 1")),
        ({"reduction_factor": 1}, ("--reduction-factor 1", "greater than or equal to 2")),
        ({"folds": 0}, ("--folds 0", "greater than or equal to 1")),
        ({"folds": 1}, ("--folds 1: at least 2 are needed", "--split official")),
        ({"split": "half"}, ("--split 'half'", "'folds', 'official' or 'own'")),
        ({"split": "official"}, ("--folds 7 contradicts --split official",)),
        ({"split": "official", "folds": 1, "fold": 1}, ("--fold 1 does not exist", "there is fold 0 alone")),
        ({"seed": 2**31}, ("--seed 2147483648", "less than 2147483648")),
        ({"fold": 3, "folds": 3}, ("--fold 3 does not exist; with --folds 3", "use 0 to 2")),
        ({"trails": 3}, ("--trails 3", "unexpected")),
    ],
)
def test_values_that_are_not_allowed_are_refused_with_value_and_rule(make_settings, values, told):
    with pytest.raises(ConfigError) as caught:
        make_settings(**values)
    for part in told:
        assert part in str(caught.value)


def test_every_mistake_is_told_at_once(make_settings):
    with pytest.raises(ConfigError) as caught:
        make_settings(trials=0, folds=0)
    assert "--trials" in str(caught.value)
    assert "--folds" in str(caught.value)


@pytest.mark.parametrize(
    ("epochs", "grace", "resolved"),
    [
        (27, 0, 1),
        (60, 0, 2),  # 60 / 27 = 2.2
        (100, 0, 4),  # 100 / 27 = 3.7
        (2, 0, 1),  # 2 / 27 = 0.1, at least 1
        (9, 5, 5),  # as asked
        (3, 5, 3),  # no more than there are
    ],
)
def test_grace_is_one_of_27_epochs_unless_it_is_given(make_settings, epochs, grace, resolved):
    assert make_settings(epochs=epochs, grace_epochs=grace).resolved_grace_epochs == resolved


def test_settings_come_back_from_their_file_unchanged(make_settings, tmp_path):
    settings = make_settings(trials=7, time_budget_seconds=5400.0, fixed={"batch_size": 4, "loss": "ce+jaccard"})
    write_settings(settings, tmp_path / "settings.json")
    assert read_settings(tmp_path / "settings.json") == settings


def test_settings_that_an_editor_of_windows_saved_are_read(make_settings, tmp_path):
    file = tmp_path / "settings.json"
    write_settings(make_settings(trials=7), file)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert read_settings(file) == make_settings(trials=7, search_id=read_settings(file).search_id)


def test_writers_of_one_settings_file_do_not_share_a_temporary_one(make_settings, tmp_path):
    """What another process is writing stays."""
    other = tmp_path / "settings.tmp"
    other.write_text("half")
    write_settings(make_settings(), tmp_path / "settings.json")
    assert other.read_text() == "half"
    assert sorted(file.name for file in tmp_path.glob("settings*")) == ["settings.json", "settings.tmp"]


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ("", "; restore it or"),
        ("{", "; restore it or"),
        ("{}", "; restore it or"),
        ('{"name": "b", "trials": 0}', "; restore it or"),
        ('{"name": "b", "shiny": 1}', "; a newer version of street-search may have written it"),
    ],
)
def test_damaged_settings_file_is_refused_by_name(tmp_path, content, remedy):
    file = tmp_path / "settings.json"
    file.write_text(content)
    with pytest.raises(CheckpointError, match=rf"settings\.json cannot be read .*{remedy}"):
        read_settings(file)


def test_settings_of_an_earlier_version_are_refused_with_what_can_be_done(tmp_path):
    file = tmp_path / "streets" / "settings.json"
    file.parent.mkdir()
    file.write_text('{"name": "streets", "data": "/data", "storage": "/searches"}')
    with pytest.raises(CheckpointError, match=r"earlier version .* '--seed-config .*/streets/best\.json'") as caught:
        read_settings(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "first", [{}, {"values": {}}, {"values": {"a": 1}, "params": {}, "drawable": True}, {"values": 1, "params": {}}]
)
def test_first_configuration_that_an_edit_spoilt_is_refused(make_settings, tmp_path, first):
    file = tmp_path / "settings.json"
    write_settings(make_settings(), file)
    file.write_text(json.dumps({**json.loads(file.read_text()), "first": [first]}))
    with pytest.raises(CheckpointError, match=r"settings\.json cannot be read \(first: "):
        read_settings(file)


def test_missing_settings_file_is_refused_by_name(tmp_path):
    with pytest.raises(CheckpointError, match=r"settings\.json cannot be read"):
        read_settings(tmp_path / "settings.json")


def test_two_searches_of_one_name_are_told_apart():
    first, second = (build_settings({"name": "streets"}) for _ in range(2))
    assert first.search_id != second.search_id


def test_values_are_those_of_json(make_settings):
    values = settings_values(make_settings(objective="iou"))
    assert values["objective"] == "iou"
    assert build_settings(values) == make_settings()


@pytest.mark.parametrize(
    "name",
    ["", "..", "a/b", "a\\b", "-x", ".x", "x.", "a b", "a\nb", "\x1b[31m", "stra\u00dfe", "x" * 300, "x" * 101],
)
def test_name_that_is_no_folder_everywhere_is_refused(make_settings, name):
    with pytest.raises(ConfigError, match="a name is at most 100 of the letters") as caught:
        make_settings(name=name)
    assert f"--name {name!r}" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "mlflow.db",
        "MLflow.db",
        "mlflow.db-journal",
        "mlartifacts",
        "mlruns",
        "Default",
        "default",
        "con",
        "NUL.txt",
        "com1",
        "LPT9.x",
    ],
)
def test_name_that_mlflow_or_windows_has_is_refused(make_settings, name):
    with pytest.raises(ConfigError, match="is kept for MLflow's own files or by Windows; choose another"):
        make_settings(name=name)


@pytest.mark.parametrize("name", ["streets", "2026-11-25", "a.b_c-d", "console", "com10", "x" * 100])
def test_other_names_pass(make_settings, name):
    assert make_settings(name=name).name == name


@pytest.mark.parametrize(("text", "trials"), [("+40", 52), ("60", 60), ("+0", 12), ("12", 12), (" 9 ", 9)])
def test_number_of_trials_of_an_extended_search(make_settings, text, trials):
    assert parse_trials(text, make_settings(trials=12), asked=9) == trials


@pytest.mark.parametrize("text", ["", "-3", "+", "many", "1.5", "++2", "\u0664", "9" * 5000])
def test_what_is_no_number_of_trials_is_refused(make_settings, text):
    with pytest.raises(ConfigError, match=r"is no number of trials; write 60, or \+40"):
        parse_trials(text, make_settings(), asked=0)


def test_search_keeps_the_trials_that_it_has_begun(make_settings):
    with pytest.raises(ConfigError, match="--trials 8: 'streets' has begun 9 trials for good; use --trials 9"):
        parse_trials("8", make_settings(trials=12), asked=9)


@pytest.mark.parametrize(
    ("objective", "metric", "weighs"),
    [
        ("iou", "iou", False),
        ("iou,latency_ms", "iou", True),
        ("miou_scored", "miou_scored", False),
        ("boundary_iou,latency_ms", "boundary_iou", True),
        ("iou/car", "iou/car", False),
        ("iou/a,b,latency_ms", "iou/a,b", True),
    ],
)
def test_objective_names_a_metric_alone_or_with_latency(make_settings, objective, metric, weighs):
    settings = make_settings(objective=objective)
    assert (settings.metric, settings.weighs_latency) == (metric, weighs)


@pytest.mark.parametrize(
    ("objective", "told"),
    [
        ("mIoU", "use miou or iou, alone or as NAME,latency_ms"),
        ("latency_ms", "use iou, miou, miou_scored, boundary_iou or iou/CLASS"),
        (",latency_ms", "this is no metric"),
        ("iou,latency", "alone or as NAME,latency_ms"),
        ("iou/", "this is no metric"),
    ],
)
def test_objective_that_is_no_metric_is_refused_with_those_there_are(make_settings, objective, told):
    with pytest.raises(ConfigError) as caught:
        make_settings(objective=objective)
    assert f"--objective {objective!r}" in str(caught.value)
    assert told in str(caught.value)


def test_objective_that_is_left_out_is_chosen_by_the_layout_and_one_that_is_given_stays(make_settings):
    left_out = make_settings(objective="")
    assert resolve_objective(left_out, "contest").metric == "iou"
    assert resolve_objective(left_out, "pairs").metric == "miou"
    given = make_settings(objective="iou/car,latency_ms")
    assert resolve_objective(given, "pairs") == given


@pytest.mark.parametrize("objective", ["iou", "iou,latency_ms", None])
def test_search_of_before_the_choice_of_objectives_opens_as_before(make_settings, tmp_path, objective):
    file = tmp_path / "settings.json"
    write_settings(make_settings(), file)
    content = json.loads(file.read_text())
    content.pop("objective")
    file.write_text(json.dumps(content if objective is None else {**content, "objective": objective}))
    read = read_settings(file)
    assert (read.metric, read.weighs_latency) == ("iou", objective == "iou,latency_ms")
