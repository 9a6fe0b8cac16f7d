"""Small batches for tests of losses, written out pixel by pixel."""

import math

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import torch

from segcore.data.classes import VOID


def make_pixels(*logits, target):
    """Logits of C classes for each pixel of one row, and the pixels' targets."""
    logits_NCHW = torch.tensor(logits, dtype=torch.float32).T.reshape(1, len(logits[0]), 1, len(logits))
    return logits_NCHW, torch.tensor([[target]], dtype=torch.int64)


def softmax(logits):
    exponentials = [math.exp(logit - max(logits)) for logit in logits]
    return [value / sum(exponentials) for value in exponentials]


def mean(values):
    return sum(values) / len(values) if values else 0.0


@st.composite
def batches(draw):
    """Logits (2, 3, 3, 4) and targets with some void, and logits and target of each valid pixel."""
    logits_NCHW = draw(hnp.arrays(np.float32, (2, 3, 3, 4), elements=st.floats(-5, 5, width=32)))
    target_NHW = draw(hnp.arrays(np.int64, (2, 3, 4), elements=st.sampled_from([0, 1, 2, VOID])))
    pixels = [
        ([float(logit) for logit in logits_NCHW[n, :, y, x]], int(target_NHW[n, y, x]))
        for n, y, x in np.ndindex(target_NHW.shape)
        if target_NHW[n, y, x] != VOID
    ]
    return torch.from_numpy(logits_NCHW), torch.from_numpy(target_NHW), pixels


def gradient_of(loss, logits_NCHW, target_NHW):
    """The gradient of a loss by the logits."""
    logits_NCHW = logits_NCHW.clone().requires_grad_(True)
    loss(logits_NCHW, target_NHW).backward()
    return logits_NCHW.grad
