"""`Batch`: the samples of one optimizer step, as loader processes hand them over.

Making them lives in `samples` and `loader`, changing them on the device in `tensor_augmentation`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Samples of one optimizer step: RGB pixels and target indices, both uint8, void is 255.

    Args:
        images_NHW3: RGB pixels.
        target_NHW: target indices of the same size.
        changes_NP: what the device has yet to change of each sample, see `changes`; None: nothing.
    """

    images_NHW3: torch.Tensor
    target_NHW: torch.Tensor
    changes_NP: torch.Tensor | None = None

    def divided(self, parts: int) -> Iterator["Batch"]:
        """Yield the batch in parts of nearly equal size, in order; a smaller batch gives fewer parts."""
        parts = min(parts, len(self.target_NHW))
        images, targets = self.images_NHW3.tensor_split(parts), self.target_NHW.tensor_split(parts)
        changes = [None] * parts if self.changes_NP is None else self.changes_NP.tensor_split(parts)
        for images_NHW3, target_NHW, changes_NP in zip(images, targets, changes, strict=True):
            yield Batch(images_NHW3=images_NHW3, target_NHW=target_NHW, changes_NP=changes_NP)
