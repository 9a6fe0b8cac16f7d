import inspect

import pytest
import torch

from segcore.__main__ import app
from segcore.commands.options import choose_machine, read_division
from segcore.data.dividing.split import DEFAULT_FOLDS
from segcore.errors import ConfigError
from segcore.machine import Machine


@pytest.fixture
def threads():
    """Puts torch's number of threads back after a test."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("device", ["foo", "cuda:x", "cpu,cuda", "meta", "gpu"])
def test_word_that_is_no_device_is_refused(device, threads):
    with pytest.raises(ConfigError, match=f"--device '{device}' is none of cpu, cuda and cuda:N"):
        choose_machine(device, 1)


@pytest.mark.parametrize("cpus", [0, -3])
def test_no_core_to_compute_on_is_refused(cpus, threads):
    with pytest.raises(ConfigError, match=f"--cpus {cpus}: at least one processor core"):
        choose_machine("cpu", cpus)


def test_gpu_that_the_machine_does_not_have_is_refused(threads):
    message = "the last GPU is cuda:" if torch.cuda.is_available() else "no GPU is visible"
    with pytest.raises(ConfigError, match=message):
        choose_machine("cuda:99", 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_gpu_is_taken_with_loaders_beside_it(device, threads):
    assert choose_machine(device, 3) == Machine(device=device, loader_workers=2)


def test_cpu_that_is_asked_for_computes_with_so_many_threads_even_beside_a_gpu(threads):
    torch.set_num_threads(3)
    assert choose_machine("cpu", 1) == Machine(device="cpu", loader_workers=0)
    assert torch.get_num_threads() == 1


def test_division_that_nothing_is_said_of_has_the_usual_folds():
    division = read_division()
    assert (division.kind, division.folds, division.own) == ("folds", DEFAULT_FOLDS, None)


def test_no_command_is_written_with_many_parameters():
    """What belongs together reaches it as one value."""
    for command in app.registered_commands:
        written = inspect.signature(inspect.unwrap(command.callback), follow_wrapped=False)
        assert len(written.parameters) <= 7, command.callback
