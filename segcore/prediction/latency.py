"""What one prediction takes: milliseconds and GPU memory of an image at its original size.

Measured as validation and `segcore predict` work by default, from the pixels in memory to probabilities at the original
size. Neither depends on the weights, so an untrained network tells as much as a trained one.
"""

import time
from statistics import median
from typing import Final

import numpy as np
import torch

from segcore.config import TrainConfig
from segcore.machine import Machine, wait_for_device
from segcore.networks.model import SegmentationModel
from segcore.prediction.predict import predict_probabilities

_WARM_RUNS: Final = 3
_RUNS: Final = 9


def measure_latency_ms(
    model: SegmentationModel, height: int, width: int, config: TrainConfig, machine: Machine
) -> float:
    """Return the median time of a prediction, after runs that let the device settle.

    Args:
        model: on the machine's device; put into evaluation mode.
        height: of the image, pixels.
        width: of the image, pixels.
        config: input_mode, scale and precision are used.
        machine: where the model is; what else runs there slows it down.

    Returns:
        Milliseconds per image.
    """
    model.eval()
    image_HW3 = np.zeros((height, width, 3), np.uint8)
    times = []
    for _ in range(_WARM_RUNS + _RUNS):
        wait_for_device(machine)
        started = time.perf_counter()
        predict_probabilities(model, image_HW3, config, machine)
        wait_for_device(machine)
        times.append(time.perf_counter() - started)
    return 1000 * median(times[_WARM_RUNS:])


def measure_memory_gib(
    model: SegmentationModel, height: int, width: int, config: TrainConfig, machine: Machine
) -> float:
    """Return the GPU memory of a prediction, the network's weights included, in GiB; 0 on the CPU.

    Args: see `measure_latency_ms`.
    """
    if not machine.on_gpu:
        return 0.0
    model.eval()
    weights = sum(tensor.nbytes for tensor in model.state_dict().values())
    image_HW3 = np.zeros((height, width, 3), np.uint8)
    # The first prediction tries algorithms, whose room no later one needs.
    predict_probabilities(model, image_HW3, config, machine)
    wait_for_device(machine)
    before = torch.cuda.memory_allocated(machine.device)
    torch.cuda.reset_peak_memory_stats(machine.device)
    predict_probabilities(model, image_HW3, config, machine)
    wait_for_device(machine)
    # An optimizer and what else the process holds is no part of a prediction.
    return float(torch.cuda.max_memory_allocated(machine.device) - before + weights) / 2**30
