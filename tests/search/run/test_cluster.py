import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import ray
import torch
from ray.runtime_env.runtime_env import RuntimeEnv, _merge_runtime_env

from search.ending import ENDS
from search.run.capacity import Capacity, count_concurrent, share_gpus
from search.run.cluster import (
    _describe_failure,
    _ending_as_interrupted,
    _runtime_env,
    advise_mps,
    connected,
    prepare_nodes,
)
from search.run.probe import PRETENDED
from search.run.quiet import QUIET
from search.run.stage import make_job
from search.run.trial_job import open_cache
from segcore.data.dataset import read_dataset
from segcore.data.decoding import LIMIT_VARIABLE
from segcore.data.dividing.folds import make_folds
from segcore.errors import ClusterError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("gpus", "gpus_per_trial", "trials"),
    [
        (1, 0.5, 2),  # two halves
        (1, 0.3, 3),  # three thirds-or-so, a tenth is lost
        (4, 0.3, 12),  # three on each: 0.1 of each GPU is lost, not gathered to a 13th
        (2, 0.4, 4),  # two on each
        (1, 0.1, 10),  # 1 / 0.1 is 10 in spite of rounding
        (1, 0.7, 1),
        (4, 1, 4),
        (4, 2, 2),
        (3, 2, 1),  # one GPU is left over
        (1, 2, 0),
        (0, 0.5, 0),
    ],
)
def test_trials_that_a_nodes_gpus_hold(gpus, gpus_per_trial, trials):
    assert int(share_gpus(gpus, gpus_per_trial)) == trials


@pytest.mark.parametrize(("gpus_per_trial", "is_advised"), [(0, False), (0.25, True), (0.5, True), (1, False)])
def test_only_trials_that_share_this_machines_gpus_are_advised_to_run_side_by_side(
    make_place, tmp_path, monkeypatch, gpus_per_trial, is_advised
):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    place = make_place(gpus_per_trial=gpus_per_trial)
    assert ("'nvidia-cuda-mps-control -d'" in advise_mps(place)) == is_advised
    monkeypatch.setenv(PRETENDED, "1")
    assert advise_mps(place) == ""


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "no-such-host.invalid:6379"])
def test_address_that_does_not_answer_is_refused_before_ray_starts(make_place, find_free_port, address):
    address = address.format(port=find_free_port())
    with (
        pytest.raises(ClusterError, match=r"does not answer .* or leave --address out for a local Ray") as caught,
        connected(make_place(address=address)),
    ):
        pytest.fail("connected to nothing")
    assert f"--address {address}" in str(caught.value)
    assert not ray.is_initialized()


@pytest.mark.parametrize("number", ENDS)
def test_signals_of_job_managers_and_closed_terminals_are_taken_as_ctrl_c(number):
    before = signal.getsignal(number)
    with _ending_as_interrupted(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_who_quits_a_second_time_waits_no_longer():
    with _ending_as_interrupted():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGQUIT)
        assert signal.getsignal(signal.SIGQUIT) is signal.SIG_DFL


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> list[str]:
    """What a driver told, line by line, that was started by nohup and has no home."""
    folder = tmp_path_factory.mktemp("homeless")
    (folder / "home").write_text("not a folder")
    code = (
        "import ray, signal\nfrom pathlib import Path\nfrom search.place import build_place\n"
        "from search.run.cluster import connected\nfrom segcore.data.decoding import read_limit\n"
        "place = build_place({'data': Path('.'), 'storage': Path('.'), 'cache': Path('.')})\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "with connected(place):\n"
        "    print(ray.get(ray.remote(num_cpus=0)(read_limit).remote()))\n"
        "    print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)\n"
        "try:\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "except KeyboardInterrupt:\n"
        "    print('told to end')\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    environment |= {"HOME": str(folder / "home"), LIMIT_VARIABLE: "321"}
    done = subprocess.run(
        ["nohup", sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_local_ray_starts_without_a_home_and_hands_the_limit_of_megapixels_on(told):
    assert told[0] == "321.0"


def test_a_hang_up_that_nohup_ignores_stays_ignored(told):
    assert told[1] == "True"


def test_a_command_takes_sigterm_as_before_once_it_has_left_its_ray(told):
    assert told[2] == "told to end"


def test_the_limit_of_megapixels_is_handed_to_a_clusters_workers_too(make_place, monkeypatch):
    place = make_place(address="auto")
    assert LIMIT_VARIABLE not in _runtime_env(place)["env_vars"]
    monkeypatch.setenv(LIMIT_VARIABLE, "321")
    assert _runtime_env(place)["env_vars"][LIMIT_VARIABLE] == "321"


def test_workers_ask_the_store_that_the_driver_asks_and_are_told_no_secret(make_place, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store:9000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    told = _runtime_env(make_place(address="auto"))["env_vars"]
    assert told["AWS_ENDPOINT_URL"] == "http://store:9000"
    assert "AWS_SECRET_ACCESS_KEY" not in told


@pytest.mark.parametrize("address", ["", "auto"])
def test_workers_are_not_told_the_address_of_a_store_that_holds_a_password(make_place, monkeypatch, address):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:PW@store:9000")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    told = _runtime_env(make_place(address=address))["env_vars"]
    assert "AWS_ENDPOINT_URL" not in told
    assert told["AWS_REGION"] == "eu-west-1"


@pytest.mark.parametrize("address", ["127.0.0.1:port", "host:-1", "127.0.0.1:99999999"])
def test_address_with_a_port_that_is_none_is_refused(make_place, address):
    with pytest.raises(ClusterError, match="does not answer"), connected(make_place(address=address)):
        pytest.fail("connected to nothing")


@pytest.mark.parametrize(
    ("values", "trials"),
    [
        ({}, 3),  # 3 CPUs, one each
        ({"cpus_per_trial": 2}, 1),
        ({"cpus_per_trial": 0.5}, 6),
        ({"gpus_per_trial": 1}, 2),  # 2 GPUs before 3 CPUs
        ({"gpus_per_trial": 0.5}, 3),  # 3 CPUs before 4 halves
        ({"gpus_per_trial": 0.5, "max_concurrent": 2}, 2),
        ({"max_concurrent": 100}, 3),
    ],
)
def test_trials_at_a_time_follow_from_the_scarcer_of_cpus_and_gpus(local_ray, make_place, values, trials):
    assert count_concurrent(make_place(**values)) == trials


def test_a_gpu_that_torch_does_not_see_is_refused_on_this_machine_too(local_ray, make_place, make_dataset, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    room = Capacity(make_place(data=make_dataset(), gpus_per_trial=2))
    with pytest.raises(ClusterError, match="--gpus-per-trial 2: Ray counts 2 GPUs and torch sees 1: mend its driver"):
        prepare_nodes(read_dataset(Path(room.place.data)), room, lambda done, total: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(ClusterError, match="CUDA_VISIBLE_DEVICES is '-1' here: a GPU that it does not name is hidden"):
        prepare_nodes(read_dataset(Path(room.place.data)), room, lambda done, total: None)


def test_cache_is_prepared_and_told_about(local_ray, make_place, make_dataset, tmp_path):
    told = []
    place = make_place(data=make_dataset(), cache=tmp_path / "cache")
    cache = prepare_nodes(
        read_dataset(Path(place.data)), Capacity(place), lambda done, total: told.append((done, total))
    )
    assert len(cache) == 4
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_every_node_reads_the_layout_that_the_search_was_given(
    local_ray, make_settings, make_place, two_layouts, tmp_path
):
    place = make_place(data=two_layouts, layout="pairs", cache=tmp_path / "cache")
    dataset = read_dataset(Path(place.data), place.layout)
    cache = prepare_nodes(dataset, Capacity(place), lambda done, total: None)
    job = make_job(make_settings(), place, cache, make_folds(dataset.cases, 2))
    late = open_cache(dataclasses.replace(job, cache_root=tmp_path / "late"))
    assert late.names == ("pair_0", "pair_1", "pair_2", "pair_3")


def test_extra_data_joins_the_cache_and_is_named_by_its_key(
    local_ray, make_settings, make_place, make_dataset, tmp_path
):
    data, extra = make_dataset(name="data"), make_dataset((40, 48), (40, 56), name="extra")
    for file in [*extra.glob("*/train_*")]:
        file.rename(file.with_name(f"extra_{file.name}"))
    place = make_place(data=data, extra=(extra,), cache=tmp_path / "cache")
    cache = prepare_nodes(read_dataset(data), Capacity(place), lambda done, total: None)
    assert len(cache) == 6
    assert sorted(cache.extra_names) == ["extra_train_0000", "extra_train_0001"]
    assert cache.key.count("+") == 1
    job = make_job(make_settings(), place, cache, make_folds(read_dataset(data).cases, 2))
    assert open_cache(job).key == cache.key
    # A node that joins late has no cache yet and prepares both.
    late = dataclasses.replace(job, cache_root=tmp_path / "late")
    assert open_cache(late).key == cache.key
    train, valid = job.split.split(cache.names, 0, cache.extra_names)
    assert {4, 5} <= set(train) and not {4, 5} & set(valid)


def test_a_jobs_own_environment_joins_that_of_its_search(make_place):
    """Both name a variable, which Ray takes for a conflict unless it is told."""
    job = {"working_dir": "gcs://code.zip", "env_vars": {"NO_ALBUMENTATIONS_UPDATE": "0", "NOTE": "kept"}}
    own = _runtime_env(make_place(address="auto"))
    override = QUIET["RAY_OVERRIDE_JOB_RUNTIME_ENV"] == "1"
    merged = _merge_runtime_env(RuntimeEnv(**job), RuntimeEnv(**own), override=override)
    assert (merged["working_dir"], len(merged["py_modules"])) == ("gcs://code.zip", 3)
    assert merged["env_vars"] == {"NOTE": "kept", **own["env_vars"]}


def test_a_cluster_with_another_ray_is_told_in_one_line_with_what_to_do(make_place):
    told = _describe_failure(
        make_place(address="10.0.0.1:6379"),
        RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\n"),
    )
    assert told == (
        "--address 10.0.0.1:6379: Ray cannot be reached (Version mismatch: The cluster was started with: Ray: 2.60.0 "
        "Python: 3.12.1); use the cluster's versions here, or this machine's there, or leave --address out for a "
        "local Ray."
    )


def test_a_ray_of_this_machine_that_does_not_come_up_is_told_with_what_to_do(make_place, monkeypatch):
    """As where /dev/shm cannot be written; Ray takes half a minute to say so."""

    def time_out(**options):
        raise Exception("The current node timed out during startup")

    monkeypatch.setattr(ray, "init", time_out)
    told = r"cannot be started \(The current node timed out.*\); let /dev/shm and .* have room .*--shm-size"
    with pytest.raises(ClusterError, match=told), connected(make_place()):
        pass
