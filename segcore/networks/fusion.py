"""Batch normalisation folded into the convolution before it: the same function in fewer passes over memory.

Only for networks that are done with training; `prediction.member_files` does it when it loads one.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from segcore.config import STRIDE

_TOLERANCE: Final = 1e-3
"""Largest difference of a logit, per largest logit, that rounding explains."""


def fuse_normalisation(model: nn.Module) -> int:
    """Fold every batch normalisation that directly follows a convolution into it, in place.

    Which follows which is seen in one pass of a small image. Where another layer too reads what the convolution gave,
    folding would change the network's answer; then all is left as it was.

    Args:
        model: in evaluation mode, on the CPU, takes uint8 pixels (N, H, W, 3).

    Returns:
        How many were folded.
    """
    pixels_NHW3 = torch.arange(3 * (2 * STRIDE) ** 2).mul(37).remainder(256).to(torch.uint8)
    pixels_NHW3 = pixels_NHW3.view(1, 2 * STRIDE, 2 * STRIDE, 3)
    with torch.no_grad():
        pairs = _find_pairs(model, pixels_NHW3)
        expected_NCHW = model(pixels_NHW3)
        replaced = _replace(model, pairs)
        difference = (model(pixels_NHW3) - expected_NCHW).abs().max()
        if difference <= _TOLERANCE * expected_NCHW.abs().max().clamp(min=1):
            return len(pairs)
    for name, module in replaced.items():
        model.set_submodule(name, module)
    return 0


def _find_pairs(model: nn.Module, pixels_NHW3: Tensor) -> dict[nn.BatchNorm2d, nn.Conv2d]:
    pairs: dict[nn.BatchNorm2d, nn.Conv2d] = {}
    # Tensors are kept, so that no later one gets the address of an earlier one.
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}
    calls: dict[nn.Module, int] = {}

    def leave(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[module] = calls.get(module, 0) + 1
        if isinstance(module, nn.Conv2d):
            made[id(output)] = (module, output)

    def enter(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.BatchNorm2d) and id(inputs[0]) in made:
            pairs[module] = made[id(inputs[0])][0]

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    hooks = [module.register_forward_hook(leave) for module in layers]
    hooks += [module.register_forward_pre_hook(enter) for module in layers]
    try:
        model(pixels_NHW3)
    finally:
        for hook in hooks:
            hook.remove()
    return {norm: conv for norm, conv in pairs.items() if calls[norm] == calls[conv] == 1}


def _replace(model: nn.Module, pairs: dict[nn.BatchNorm2d, nn.Conv2d]) -> dict[str, nn.Module]:
    names = {module: name for name, module in model.named_modules()}
    replaced: dict[str, nn.Module] = {}
    for norm, conv in pairs.items():
        replaced |= {names[norm]: norm, names[conv]: conv}
        model.set_submodule(names[conv], fuse_conv_bn_eval(conv, norm).to(memory_format=torch.channels_last))
        # timm's batch normalisation holds the activation after it.
        model.set_submodule(names[norm], getattr(norm, "act", None) or nn.Identity())
    return replaced
