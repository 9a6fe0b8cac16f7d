"""Reads the tensors of a weights file, whatever program wrote it and whatever it wraps them in.

Which of them a network takes is decided in `fitting`; where weights come from without a file, in `weights`.
"""

import argparse
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from segcore.errors import WeightsError
from segcore.regular import refuse_irregular

Tensors = Mapping[str, Tensor]

_OF_A_FOLDER: Final = ("member_0.safetensors", "model.safetensors", "pytorch_model.bin", "state.pt")
"""What stands for a folder: of a model directory its first network, of others what their programs write."""

_OWN_NORMALISATION: Final = ("mean_3", "std_3")
"""Of the backbone rather than of what was learnt, so no part of the account."""

_MAKE_SCALAR: Final[Any] = np.float64(0).__reduce__()[0]
_PLAIN_TYPES: Final[tuple[Callable[..., Any] | tuple[Callable[..., Any], str], ...]] = (
    argparse.Namespace,
    pathlib.PosixPath,
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
    type(np.dtype(np.int64)),
    _MAKE_SCALAR,
    # What NumPy 1 called the same.
    (_MAKE_SCALAR, "numpy.core.multiarray.scalar"),
)
"""Options and scores that training programs keep beside the tensors; making one runs nobody's code."""

_DEEPEST: Final = 8


def find_weights_file(name: str) -> Path | None:
    """Return the file that a name means, in a model directory its first network; None where there is none."""
    try:
        place = Path(name).expanduser()
        if place.is_file():
            return place
        inside = (place / file for file in _OF_A_FOLDER)
        return next((file for file in inside if file.is_file()), None)
    # A name that no file can have.
    except (OSError, ValueError, RuntimeError):
        return None


def read_networks(file: Path) -> dict[str, Tensors]:
    """Return every mapping of names to tensors that a file holds, by where it stands in it: a network's among them.

    Args:
        file: of safetensors, or of `torch.save`.

    Raises:
        WeightsError: when it cannot be read, or holds other things than tensors and plain values.
    """
    networks = {place: _without_normalisation(tensors) for place, tensors in _find_networks(_read(file))}
    if not networks:
        raise WeightsError(
            f"The weights file {file} holds no tensors by names; save a network's state_dict() with torch.save."
        )
    return networks


def _read(file: Path) -> object:
    try:
        refuse_irregular(file)
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        with torch.serialization.safe_globals(list(_PLAIN_TYPES)):
            return torch.load(file, map_location="cpu", weights_only=True)
    # Either library raises errors of many types.
    except Exception as error:
        raise WeightsError(f"The weights file {file} cannot be read: {_describe(error)}.") from error


def _describe(error: Exception) -> str:
    foreign = re.search(r"GLOBAL (\S+)", str(error))
    if foreign:
        return (
            f"beside tensors it holds {foreign.group(1)}, and what is no plain value is not taken, since it could run "
            "any code; where its program is installed, save the network's state_dict() alone with torch.save"
        )
    if "TorchScript" in str(error):
        return "it is a TorchScript archive; save the network's state_dict() with torch.save instead"
    return f"{type(error).__name__}, it is damaged, or neither of safetensors nor of torch.save; fetch it anew"


def _find_networks(content: object, place: str = "", depth: int = 0) -> Iterator[tuple[str, Tensors]]:
    if not isinstance(content, Mapping) or depth > _DEEPEST:
        return
    named: Mapping[Any, object] = content
    tensors = {str(name): value for name, value in named.items() if isinstance(value, Tensor)}
    if tensors:
        yield place, tensors
    for name, value in named.items():
        yield from _find_networks(value, f"{place}.{name}" if place else str(name), depth + 1)


def _without_normalisation(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[2] not in _OWN_NORMALISATION}
