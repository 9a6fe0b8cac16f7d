"""What Ray starts on this machine, with plain processes in its place; whole searches end in `commands/test_endings`."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray._private import services

from search.run.apart import ApartProcess, started_apart

FAMILY = ("sh", "-c", "sleep 600 & echo $!; wait")


@pytest.fixture
def family() -> Iterator[tuple[ApartProcess, int]]:
    """A process and the number of its child."""
    process = ApartProcess(FAMILY, stdout=subprocess.PIPE)
    yield process, int(process.stdout.readline())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def is_held_back(pid: int, number: signal.Signals) -> bool:
    """Say whether a signal was sent to a process that lives and does not hear it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return status["State"][0] != "Z" and bool(int(status["ShdPnd"], 16) >> number - 1 & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process holds back is seen on Linux")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU])
def test_neither_a_process_nor_what_it_starts_hears_what_job_managers_send(family, number):
    process, child = family
    os.killpg(process.pid, number)
    assert is_held_back(process.pid, number)
    assert is_held_back(child, number)


def test_the_drivers_group_is_not_that_of_what_it_starts(family):
    process, child = family
    assert os.getpgid(process.pid) == os.getpgid(child) == process.pid != os.getpgid(0)


def test_ray_can_end_it(family):
    process, _ = family
    process.terminate()
    assert process.wait() == -signal.SIGKILL


def test_the_driver_itself_hears_them_as_before(family):
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGTERM, signal.SIGUSR1}


def test_ray_starts_its_processes_so_until_told_otherwise():
    usual = services.ConsolePopen
    with started_apart() as begun:
        started = services.start_ray_process(["sleep", "600"], "gcs_server", fate_share=True).process
    assert isinstance(started, ApartProcess)
    assert begun == [started]
    assert services.ConsolePopen is usual
    started.terminate()
    assert started.wait() == -signal.SIGKILL
