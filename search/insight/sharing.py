"""How many trials the memory of one GPU holds, from what a training was seen to occupy."""

import math
from typing import Final

_SPARE_SHARE: Final = 0.1
"""Of a GPU's memory; other configurations take more than those that were seen."""
_MOST: Final = 8
"""Trials on one GPU; whether more of them do better was never measured."""


def count_fitting(trial_gib: float, gpu_gib: float) -> int:
    """Return how many trials fit one GPU at a time, eight at most.

    Args:
        trial_gib: that the process of a trial occupies, with what CUDA takes beside its tensors.
        gpu_gib: all the memory that a GPU has.
    """
    return min(_MOST, int((1 - _SPARE_SHARE) * gpu_gib / trial_gib)) if trial_gib > 0 else 0


def describe_sharing(trial_gib: float, gpu_gib: float) -> str:
    """Say which `--gpus-per-trial` the memory of a GPU allows; empty where no two trials fit.

    Args:
        trial_gib: the most that a trial occupied; 0 where it is not known.
        gpu_gib: all that its GPU has.
    """
    trials = count_fitting(trial_gib, gpu_gib)
    if trials < 2:
        return ""
    # Rounded down, so that Ray finds room for as many.
    share = math.floor(100 / trials) / 100
    return (
        f"Those measured occupy at most {trial_gib:.1f} GiB of the {gpu_gib:.1f} GiB of a GPU: with NVIDIA's MPS and "
        f"--gpus-per-trial {share:g}, {trials} would fit at a time, as long as none drawn later takes more."
    )
