"""Locks on GPUs, held by this process and by another; no GPU is needed."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from search.run import share
from search.run.share import (
    Share,
    count_cpus,
    count_wanted,
    describe_others,
    find_visible,
    list_uuids,
    make_private_folder,
    name_locks,
    take_free,
    taking_gpus,
)
from segcore.errors import ClusterError, StorageError

HOLD = """
import sys
from contextlib import ExitStack
from pathlib import Path
from filelock import FileLock
with ExitStack() as held:
    for gpu in sys.argv[2:]:
        held.enter_context(FileLock(Path(sys.argv[1]) / f"gpu-{gpu}.lock").acquire(timeout=0))
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def four_gpus(tmp_path, monkeypatch) -> Path:
    """A machine with four GPUs, and an own folder of locks."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(share.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(share, "list_uuids", tuple)
    return tmp_path / f"street-search-{os.getuid()}"


@pytest.fixture
def hold(four_gpus):
    """Return a function that starts another process that has GPUs."""
    four_gpus.mkdir(mode=0o700)
    started = []

    def start(*gpus: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", HOLD, four_gpus, *gpus]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert started[-1].stdout.readline() == b"held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_search_takes_the_gpus_that_the_first_has_not(hold, make_place, monkeypatch):
    hold("0", "2")
    with taking_gpus(make_place(gpus_per_trial=1)) as found:
        assert found.taken == ("1", "3")
        assert found.others == "other searches on this machine have the GPUs 0, 2, and this one has 1, 3 of 4"
        assert share.os.environ["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert "CUDA_VISIBLE_DEVICES" not in share.os.environ


def test_gpus_are_free_again_when_their_search_ends_however_it_ends(hold, make_place):
    first = hold("0", "1", "2", "3")
    told = "--gpus-per-trial 1: other searches on this machine have the GPUs 0, 1, 2, 3, and this one finds none"
    with pytest.raises(ClusterError, match=told), taking_gpus(make_place(gpus_per_trial=1)):
        pytest.fail("took what another has")
    first.kill()
    first.wait()
    for _ in range(2):
        with taking_gpus(make_place(gpus_per_trial=1)) as found:
            assert (found.taken, found.others) == (("0", "1", "2", "3"), "")


def test_a_trial_of_two_gpus_needs_two_that_are_free(hold, make_place):
    hold("0", "1", "3")
    with pytest.raises(ClusterError, match="and this one has 2 of 4"), taking_gpus(make_place(gpus_per_trial=2)):
        pytest.fail("took too few")


def test_no_more_are_taken_than_the_trials_use(four_gpus, make_place):
    with taking_gpus(make_place(gpus_per_trial=1, max_concurrent=3)) as found, ExitStack() as held:
        assert (found.taken, found.others) == (("0", "1", "2"), "")
        assert take_free({gpu: gpu for gpu in "0123"}, None, four_gpus, held) == ("3",)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"gpus_per_trial": 1}, None),
        ({"gpus_per_trial": 1, "max_concurrent": 3}, 3),
        ({"gpus_per_trial": 2, "max_concurrent": 3}, 6),
        ({"gpus_per_trial": 0.5, "max_concurrent": 3}, 2),  # two on the first, one on the second
        ({"gpus_per_trial": 0.3, "max_concurrent": 3}, 1),
    ],
)
def test_gpus_that_a_search_uses_at_most(make_place, values, wanted):
    assert count_wanted(make_place(**values)) == wanted


@pytest.mark.parametrize("values", [{}, {"gpus_per_trial": 1, "address": "auto"}])
def test_none_are_taken_where_trials_use_none_or_those_of_a_cluster(four_gpus, make_place, values):
    with taking_gpus(make_place(**values)) as found:
        assert found == Share()


@pytest.mark.parametrize(
    ("variable", "count", "visible"),
    [("", 2, ("0", "1")), ("3, 1", 2, ("3", "1")), ("GPU-5e,MIG-2c", 2, ("GPU-5e", "MIG-2c")), ("1", 0, ())],
)
def test_gpus_are_named_as_the_environment_names_them(monkeypatch, variable, count, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert find_visible(count) == visible


def test_two_jobs_that_call_each_its_own_gpu_the_first_lock_two(hold, make_place, monkeypatch):
    """A control group shows each job of Slurm one GPU, as number 0 of those that it can reach."""
    hold("GPU-5e01")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for uuid, taken in (("GPU-77ab", ("0",)), ("GPU-5e01", None)):
        monkeypatch.setattr(share, "list_uuids", lambda uuid=uuid: (uuid,))
        if taken is None:
            with pytest.raises(ClusterError, match="have the GPUs 0"), taking_gpus(make_place(gpus_per_trial=1)):
                pytest.fail("took what another has")
        else:
            with taking_gpus(make_place(gpus_per_trial=1)) as found:
                assert found.taken == taken


@pytest.mark.parametrize(
    ("visible", "uuids", "locked"),
    [
        (("0", "1"), ("GPU-5e01", "GPU-77ab"), ["GPU-5e01", "GPU-77ab"]),
        (("1",), ("GPU-5e01", "GPU-77ab"), ["GPU-77ab"]),
        (("GPU-77", "MIG-2c"), ("GPU-5e01", "GPU-77ab"), ["GPU-77ab", "MIG-2c"]),
        (("0", "3"), (), ["0", "3"]),
    ],
)
def test_what_is_locked_is_the_gpu_itself_whatever_it_is_called(visible, uuids, locked):
    assert list(name_locks(visible, uuids).items()) == list(zip(visible, locked, strict=True))


@pytest.mark.parametrize(
    ("script", "uuids"),
    [
        ("echo GPU-5e01; echo GPU-77ab", ("GPU-5e01", "GPU-77ab")),
        ("echo No devices were found", ()),
        ("echo GPU-5e01; exit 9", ()),
    ],
)
def test_the_driver_s_own_names_are_asked_for(tmp_path, monkeypatch, script, uuids):
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\n[ "$*" = "--query-gpu=uuid --format=csv,noheader" ] || exit 2\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert list_uuids() == uuids


def test_without_the_driver_s_program_there_are_no_such_names(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_uuids() == ()


def test_only_gpus_that_others_may_have_are_told():
    assert describe_others(["0", "1"], ["0", "1"]) == ""
    assert describe_others(["0", "1"], ["1"]).endswith("have the GPUs 0, and this one has 1 of 2")


def test_locks_lie_where_nobody_else_can_write(tmp_path, monkeypatch):
    monkeypatch.setattr(share.tempfile, "gettempdir", lambda: str(tmp_path))
    assert make_private_folder().stat().st_mode & 0o777 == 0o700
    make_private_folder().chmod(0o777)
    with pytest.raises(StorageError, match="is not this user's alone; delete it, or set TMPDIR"):
        make_private_folder()


@pytest.mark.parametrize("runtime", ["", "/run/user/none"], ids=["none", "gone"])
def test_locks_lie_in_the_temporary_folder_whatever_became_of_the_runtime_one(tmp_path, monkeypatch, runtime):
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setattr(share.tempfile, "gettempdir", lambda: str(tmp_path))
    with ExitStack() as held:
        assert take_free({"0": "0"}, None, make_private_folder(), held) == ("0",)
    assert [file.parent for file in tmp_path.glob("*/gpu-0.lock")] == [tmp_path / f"street-search-{share.os.getuid()}"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives processes no cores of their own")
def test_a_ray_has_only_the_cores_that_its_process_was_left():
    before = os.sched_getaffinity(0)
    assert 1 <= count_cpus() <= len(before)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert count_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)
