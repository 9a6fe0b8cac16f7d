import pytest
import torch

from segcore.errors import ConfigError, DeviceMemoryError
from segcore.machine import Machine, autocast, detect_machine, name_memory_errors, peak_memory_gib, require_device


@pytest.mark.parametrize(
    ("precision", "kind"),
    [("fp32", torch.float32), ("auto", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_precision_decides_what_a_network_computes_in(make_config, precision, kind):
    # auto is fp32 on a CPU.
    with autocast(make_config(precision=precision), Machine()):
        assert torch.nn.Linear(2, 2)(torch.zeros(1, 2)).dtype is kind


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_is_named_with_its_remedy(make_config, error):
    with (
        pytest.raises(DeviceMemoryError, match="cpu ran out of memory with batch_size=3, input_mode=full"),
        name_memory_errors(make_config(batch_size=3), Machine()),
    ):
        raise error


def test_other_errors_pass(make_config):
    with pytest.raises(RuntimeError, match="shapes differ"), name_memory_errors(make_config(), Machine()):
        raise RuntimeError("shapes differ")


def test_real_allocation_that_is_too_large_is_named(make_config):
    with pytest.raises(DeviceMemoryError), name_memory_errors(make_config(), Machine()):
        torch.empty(1 << 55, dtype=torch.uint8)


def test_trial_without_a_gpu_stays_on_the_cpu():
    threads = torch.get_num_threads()
    try:
        assert detect_machine(1, use_gpu=False) == Machine(device="cpu", loader_workers=0)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_missing_gpu_is_refused():
    with pytest.raises(ConfigError, match="no GPU is visible; use --device cpu"):
        require_device(Machine(device="cuda:0"))


def test_cpu_has_no_peak_of_gpu_memory():
    assert peak_memory_gib(Machine()) == 0.0
