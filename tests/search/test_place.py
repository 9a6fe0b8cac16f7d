import json
from pathlib import Path

import pytest

from search.place import (
    build_place,
    change_place,
    read_place,
    require_honest_latency,
    require_one_gpu,
    require_own_database,
    write_place,
)
from segcore.errors import CheckpointError, ConfigError


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"cpus_per_trial": 0}, ("--cpus-per-trial 0", "greater than 0")),
        ({"gpus_per_trial": -1}, ("--gpus-per-trial -1", "greater than or equal to 0")),
        ({"gpus_per_trial": float("nan")}, ("--gpus-per-trial nan", "")),
        ({"max_concurrent": -1}, ("--max-concurrent -1", "greater than or equal to 0")),
        ({"wait_seconds": "soon"}, ("--wait 'soon' is no duration", "such as 90m")),
        ({"wait_seconds": -1}, ("--wait", "greater than or equal to 0")),
        ({"trials": 3}, ("--trials 3", "unexpected")),
    ],
)
def test_values_that_are_not_allowed_are_refused_with_value_and_rule(make_place, values, told):
    with pytest.raises(ConfigError) as caught:
        make_place(**values)
    for part in told:
        assert part in str(caught.value)


@pytest.mark.parametrize("folder", ["~no-such-user/data", "a\0b"])
def test_what_is_no_folder_is_refused(make_place, folder):
    with pytest.raises(ConfigError, match=r"--cache .* is no folder \(.*\); give another"):
        make_place(cache=Path(folder))


def test_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = build_place({"data": Path("data"), "extra": (Path("more"),)})
    assert place.data == str(tmp_path / "data")
    assert place.extra == (str(tmp_path / "more"),)
    assert place.storage == tmp_path / "searches"
    assert place.cache == Path("~/.cache/street-search").expanduser()


def test_mlflow_writes_to_a_file_in_the_storage_unless_a_server_is_named(make_place, tmp_path):
    own = f"sqlite:///{tmp_path / 'searches' / 'mlflow.db'}"
    assert make_place().tracking_uri == own
    elsewhere = make_place(tracking_uri="http://host:5000")
    assert elsewhere.tracking_uri == "http://host:5000"
    assert change_place(elsewhere, {"tracking_uri": ""}).tracking_uri == own


def test_the_wait_for_a_node_is_a_duration(make_place):
    assert make_place().wait_seconds == 1800
    assert make_place(wait_seconds="2h").wait_seconds == 7200


def test_a_trial_is_given_no_gpu_that_its_training_would_leave_idle(make_place):
    told = "a training uses one GPU, and the others would stand idle; use --gpus-per-trial 1"
    with pytest.raises(ConfigError, match=f"--gpus-per-trial 2: {told}"):
        require_one_gpu(make_place(gpus_per_trial=2))
    with pytest.raises(ConfigError, match=f"--gpus-per-trial 1.5: {told}"):
        make_place(gpus_per_trial=1.5)
    for gpus in (0, 0.5, 1):
        require_one_gpu(make_place(gpus_per_trial=gpus))


def test_password_with_a_blank_is_refused_and_not_shown(make_place):
    with pytest.raises(ConfigError, match="write %20 for it") as caught:
        make_place(tracking_uri="postgresql://u:P W@host/db")
    assert "P W" not in str(caught.value)


def test_ray_client_is_refused(make_place):
    with pytest.raises(ConfigError, match="behind Ray Client cannot keep the search's journal; start on a machine"):
        make_place(address="ray://127.0.0.1:10001")


def test_storage_in_the_copy_that_ray_makes_of_a_jobs_code_is_refused(make_place, tmp_path):
    copy = tmp_path / "runtime_resources" / "working_dir_files" / "_ray_pkg_1" / "searches"
    with pytest.raises(ConfigError, match="lies in the copy of the code that Ray made for this job and deletes"):
        make_place(storage=copy)


def test_place_comes_back_from_its_file(make_place, tmp_path):
    place = make_place(gpus_per_trial=0.5, max_concurrent=3, extra=(tmp_path / "more",), tracking_uri="http://host:1")
    file = tmp_path / "searches" / "streets" / "place.json"
    file.parent.mkdir(parents=True)
    write_place(place, file)
    assert read_place(file) == change_place(place, {"home": file.parent})


def test_storage_and_its_mlflow_are_where_the_file_is_found(make_place, tmp_path):
    file = tmp_path / "searches" / "streets" / "place.json"
    file.parent.mkdir(parents=True)
    write_place(make_place(), file)
    kept = json.loads(file.read_text())
    assert "storage" not in kept
    assert kept["tracking_uri"] == ""
    (tmp_path / "searches").rename(tmp_path / "moved")
    moved = read_place(tmp_path / "moved" / "streets" / "place.json")
    assert moved.storage == tmp_path / "moved"
    assert moved.tracking_uri == f"sqlite:///{tmp_path / 'moved' / 'mlflow.db'}"


@pytest.mark.parametrize("content", ["", "{", "{}", '{"data": "a", "cpus_per_trial": 0}', '{"dta": "a"}'])
def test_damaged_file_is_refused_by_name(tmp_path, content):
    file = tmp_path / "place.json"
    file.write_text(content)
    with pytest.raises(CheckpointError, match=r"place\.json cannot be read"):
        read_place(file)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ({"max_latency_ms": 40}, "--max-latency-ms 40 with --gpus-per-trial 0.5"),
        ({"objective": "iou,latency_ms"}, "--objective iou,latency_ms with --gpus-per-trial 0.5"),
    ],
)
def test_latency_is_not_measured_beside_a_busy_neighbour(make_settings, make_place, what, told):
    settings = make_settings(**what)
    with pytest.raises(ConfigError, match=told) as caught:
        require_honest_latency(settings, make_place(gpus_per_trial=0.5))
    assert "use --gpus-per-trial 1" in str(caught.value)
    for gpus in (0, 1, 2):
        require_honest_latency(settings, make_place(gpus_per_trial=gpus))


def test_shared_gpu_is_no_matter_where_latency_is_none(make_settings, make_place):
    require_honest_latency(make_settings(max_memory_gib=4), make_place(gpus_per_trial=0.5))


def test_passwords_are_not_kept(make_place, tmp_path):
    (tmp_path / "searches" / "streets").mkdir(parents=True)
    file = tmp_path / "searches" / "streets" / "place.json"
    write_place(make_place(tracking_uri="https://me:secret@host/mlflow"), file)
    assert "secret" not in file.read_text()
    assert read_place(file).tracking_uri == "https://***@host/mlflow"


def test_layout_is_remembered_until_it_is_left_to_be_recognised_again(make_place, tmp_path):
    file = tmp_path / "searches" / "streets" / "place.json"
    file.parent.mkdir(parents=True)
    write_place(make_place(layout="voc"), file)
    remembered = read_place(file)
    assert change_place(remembered, {"data": tmp_path}).layout == "voc"
    assert change_place(remembered, {"layout": ""}).layout == ""


@pytest.mark.parametrize("name", ["a?b", "a%41b"])
def test_storage_that_an_address_would_misread_is_refused_unless_mlflow_is_elsewhere(make_place, tmp_path, name):
    with pytest.raises(ConfigError, match="choose another folder, or an MLflow by --tracking-uri"):
        require_own_database(make_place(storage=tmp_path / name))
    require_own_database(make_place(storage=tmp_path / name, tracking_uri="http://host:5000"))
    require_own_database(make_place(storage=tmp_path / "100% a#b"))
