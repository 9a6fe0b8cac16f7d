"""What a machine did: the CPU's numbers from the machine that tests run on, those of a GPU as NVML gives them."""

import time
from contextlib import closing
from types import SimpleNamespace

import pytest
from ray._private.thirdparty import pynvml

from search.run.system import Spent, SystemWatch, average, find_gpu, read_gpu, tell_spent
from segcore.machine import Machine

MEMORY = {
    "system/system_memory_usage_megabytes",
    "system/system_memory_usage_percentage",
    "system/trial_memory_megabytes",
}
HOST = MEMORY | {"system/cpu_utilization_percentage", "system/trial_cpu_cores"}


class Nvml:
    """NVIDIA's package as it answers on a machine with a GPU, where it knows an answer."""

    NVMLError = pynvml.NVMLError

    def __init__(self, *unknown: str) -> None:
        self._unknown = unknown

    def _tell(self, question, answer):
        if question in self._unknown:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return answer

    def nvmlDeviceGetUtilizationRates(self, handle):
        return self._tell("use", pynvml.c_nvmlUtilization_t(gpu=87, memory=40))

    def nvmlDeviceGetMemoryInfo(self, handle):
        return self._tell("memory", pynvml.c_nvmlMemory_t(total=80_000_000_000, free=0, used=20_000_000_000))

    def nvmlDeviceGetPowerUsage(self, handle):
        return self._tell("power", 350_000)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle):
        return self._tell("power", 700_000)


def test_an_epoch_on_the_cpu_has_the_numbers_of_its_machine_and_of_its_own_processes():
    with closing(SystemWatch(Machine(), period_seconds=60)) as system:
        begun = time.process_time()
        while time.process_time() < begun + 0.05:
            pass
        seen = system.take()
    assert set(seen) == HOST
    assert 0 < seen["system/cpu_utilization_percentage"] <= 100
    assert 0 < seen["system/system_memory_usage_percentage"] < 100
    assert 0 < seen["system/trial_memory_megabytes"] < seen["system/system_memory_usage_megabytes"]
    assert seen["system/trial_cpu_cores"] > 0


def test_what_nvml_tells_stands_under_the_names_that_mlflow_has_for_it():
    assert read_gpu(Nvml(), object()) == {
        "gpu_0_utilization_percentage": 87.0,
        "gpu_0_memory_usage_megabytes": 20_000.0,
        "gpu_0_memory_usage_percentage": 25.0,
        "gpu_0_power_usage_watts": 350.0,
        "gpu_0_power_usage_percentage": 50.0,
    }


@pytest.mark.parametrize(("unknown", "left"), [("use", 4), ("memory", 3), ("power", 3)])
def test_what_nvml_does_not_tell_is_left_out(unknown, left):
    assert len(read_gpu(Nvml(unknown), object())) == left


def test_a_gpu_that_cannot_be_asked_is_left_out_without_a_word():
    # NVML is not there where tests run without a GPU; with one, torch knows no device of this number.
    assert find_gpu(Machine(device="cuda:99"))() == {}


def test_numbers_of_several_looks_are_averaged_over_those_that_have_them():
    assert average([{"use": 100.0}, {"use": 50.0, "memory": 8.0}, {}]) == {"use": 75.0, "memory": 8.0}
    assert average([]) == {}


def test_processor_time_is_told_as_a_share_of_the_machine_and_as_cores_of_the_trial():
    before = Spent(busy=100.0, all=400.0, own=10.0, now=50.0)
    after = Spent(busy=130.0, all=440.0, own=25.0, now=60.0)
    assert tell_spent(before, after) == {"cpu_utilization_percentage": 75.0, "trial_cpu_cores": 1.5}


@pytest.mark.parametrize("after", [None, Spent(busy=100.0, all=400.0, own=10.0, now=50.0)])
def test_no_time_between_two_looks_tells_nothing(after):
    assert tell_spent(Spent(busy=100.0, all=400.0, own=10.0, now=50.0), after) == {}


def test_a_reading_that_fails_takes_nothing_else_with_it(monkeypatch):
    with closing(SystemWatch(Machine(), period_seconds=60)) as system:
        monkeypatch.setattr(system, "_read_gpu", lambda: SimpleNamespace()["nothing"])
        told = set(system.take())
    # Processor time is told where a tick of its clock has passed meanwhile.
    assert MEMORY <= told <= HOST
