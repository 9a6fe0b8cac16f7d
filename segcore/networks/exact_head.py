"""A network's last layer at full precision, where the rest computes in half."""

import torch
from torch import Tensor, nn


class ExactHead(nn.Sequential):
    """Layers that compute in fp32 under autocast too: bf16 knows logits near 8 only to a thirtieth.

    Its tensors are called as those of the head that it takes the place of.
    """

    def forward(self, features_NCHW: Tensor) -> Tensor:
        """Return fp32 logits under autocast; without it, the layers' own."""
        device_type = features_NCHW.device.type
        # What is exported never sees the switch; the meta device, which knows shapes alone, has none.
        if device_type == "meta" or not torch.is_autocast_enabled(device_type):
            return self._apply_layers(features_NCHW)
        with torch.autocast(device_type, enabled=False):
            return self._apply_layers(features_NCHW.float())

    def _apply_layers(self, features_NCHW: Tensor) -> Tensor:
        for layer in self:
            features_NCHW = layer(features_NCHW)
        return features_NCHW
