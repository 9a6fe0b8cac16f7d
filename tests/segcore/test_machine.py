import subprocess
import sys

import pytest
import torch

from segcore.errors import ConfigError, DeviceMemoryError
from segcore.machine import (
    Machine,
    autocast,
    detect_machine,
    peak_memory_gib,
    require_device,
    wait_for_device,
)
from segcore.prediction.memory import name_prediction_memory_errors
from segcore.prediction.options import PredictOptions


@pytest.mark.parametrize(
    ("precision", "kind"),
    [("fp32", torch.float32), ("auto", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float32)],
)
def test_precision_decides_what_a_network_computes_in(make_config, precision, kind):
    # auto and fp16 are fp32 on a CPU.
    with autocast(make_config(precision=precision), Machine()):
        assert torch.nn.Linear(2, 2)(torch.zeros(1, 2)).dtype is kind


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ({}, "mode=auto, tile_size=None, scales=1; use --mode overlap --tile-size 512"),
        ({"mode": "tiles", "tile_size": 1024}, "use --mode overlap --tile-size 512"),
        ({"mode": "overlap", "tile_size": 512, "scales": (1.0, 2.0)}, "scales=1,2; use --mode resize --scale 0.5"),
    ],
)
def test_prediction_that_needs_too_much_memory_is_told_what_needs_less(values, remedy):
    options = PredictOptions(**values)
    with (
        pytest.raises(DeviceMemoryError, match=f"cpu ran out of memory predicting an image of 30x20.*{remedy}"),
        name_prediction_memory_errors(options, (20, 30), Machine()),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(RuntimeError, match="shapes"), name_prediction_memory_errors(options, (20, 30), Machine()):
        raise RuntimeError("shapes differ")


def test_memory_that_is_freed_is_used_again():
    """In a process of its own, because it lasts; eight tensors first, until one fits where another was."""
    program = (
        "import resource, torch\n"
        "from segcore.machine import reuse_freed_memory\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def count():\n"
        "    for _ in range(8): torch.zeros(1 << 24)\n"
        "    before = faults()\n"
        "    for _ in range(3): torch.zeros(1 << 24)\n"
        "    return faults() - before\n"
        "first = count(); reuse_freed_memory(); print(first, count())\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    mapped, kept = map(int, found.stdout.split())
    # 64 MiB are 16,384 pages of 4 KiB; huge pages would be fewer.
    assert kept < mapped / 10


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


def test_memory_is_that_of_the_gpu_that_is_used(monkeypatch):
    # What torch says of the second of two GPUs.
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device=None: {"cuda:1": 3 << 30}.get(device, 0))
    assert peak_memory_gib(Machine(device="cuda:1")) == 3.0


def test_the_gpu_that_is_used_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    wait_for_device(Machine(device="cuda:1"))
    wait_for_device(Machine())
    assert waited == ["cuda:1"]
