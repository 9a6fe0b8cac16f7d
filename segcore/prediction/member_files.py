"""The networks in a model's directory: a file of weights for each, and what `ensemble.json` says of them.

A model of one configuration whose networks count alike says `config` and `members`; any other says also which
configuration each network has, and how often it counts. The directory as a whole lives in
`ensemble_files`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from torch import Tensor

from segcore.config import TrainConfig
from segcore.counting import count_words
from segcore.errors import CheckpointError
from segcore.expressions import translate_first_losses
from segcore.machine import Machine
from segcore.networks.fitting import needs_scale
from segcore.networks.fusion import fuse_normalisation
from segcore.networks.model import SegmentationModel, build_architecture
from segcore.regular import refuse_irregular

_FORMAT: Final = "street-ensemble-2"
_FORMAT_OF_FIRST_LOSSES: Final = "street-ensemble-1"
_FORMAT_OF_UNLIKE: Final = "street-ensemble-3"
"""Of networks of several configurations, or that do not count alike."""

_TOLD: Final = 150
"""Characters of what PyTorch says of weights that do not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberWeights:
    """What a network of a model is written from.

    Args:
        tensors: its weights and normalisation.
        config: how it was trained.
        weight: how often it counts, at least 1.
    """

    tensors: dict[str, Tensor]
    config: TrainConfig
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFile:
    """What `ensemble.json` says of a network.

    Args:
        file: name of its file.
        config: how it was trained.
        weight: how often it counts, at least 1.
    """

    file: str
    config: TrainConfig
    weight: int


def write_members(folder: Path, members: Iterator[MemberWeights], *, half: bool) -> dict[str, Any]:
    """Write a file for each network and return what `ensemble.json` is to say of them.

    Args:
        folder: an existing folder.
        members: at least one, one in memory at a time.
        half: whether to round matrices to 16 bits.

    Raises:
        OSError: when it cannot be written.
        safetensors.SafetensorError: likewise.
    """
    files: list[str] = []
    configs: list[TrainConfig] = []
    weights: list[int] = []
    normalisation: dict[str, list[float]] = {}
    for position, member in enumerate(members):
        files.append(f"member_{position}.safetensors")
        configs.append(member.config)
        weights.append(member.weight)
        copied = {name: _copy(tensor) for name, tensor in member.tensors.items()}
        normalisation = normalisation or {name: copied[f"{name}_3"].tolist() for name in ("mean", "std")}
        stored = {name: _halve(tensor) for name, tensor in copied.items()} if half else copied
        safetensors.torch.save_file(stored, folder / files[-1])
    return {**_describe(files, configs, weights), "normalisation": normalisation}


def read_format(document: dict[str, Any]) -> dict[str, Any]:
    """Return the content of an `ensemble.json`, of an older format as the present one would say it.

    Raises:
        KeyError: for one without a format.
        ValueError: for a format that is not known.
        TypeError: for a configuration that is none.
    """
    known = document["format"]
    if known not in (_FORMAT_OF_FIRST_LOSSES, _FORMAT, _FORMAT_OF_UNLIKE):
        raise ValueError(f"format {known!r}, not {_FORMAT!r} or {_FORMAT_OF_UNLIKE!r}")
    if not all(isinstance(values, dict) for values in (document.get("config", {}), *document.get("configs", ()))):
        raise TypeError("a configuration in it is no object of names and values")
    if known == _FORMAT_OF_FIRST_LOSSES:
        return {**document, "format": _FORMAT, "config": translate_first_losses(document["config"])}
    return document


def describe_members(document: Mapping[str, Any]) -> tuple[MemberFile, ...]:
    """Return what the content of an `ensemble.json` says of its networks.

    Raises:
        KeyError, TypeError, ValueError, ConfigError: saying what is wrong with it.
    """
    files = document["members"]
    if not files:
        raise ValueError("it has no members")
    configs = [TrainConfig.from_values(values) for values in document.get("configs", [document["config"]])]
    weights, of_member = document.get("weights", [1] * len(files)), document.get("config_of_member", [0] * len(files))
    if not len(files) == len(weights) == len(of_member):
        raise ValueError(f"it has {len(files)} members, {len(weights)} weights and {len(of_member)} configurations")
    if not all(isinstance(weight, int) and weight >= 1 for weight in weights):
        raise ValueError(f"weights {weights} are not whole numbers of at least 1")
    if not all(isinstance(number, int) and 0 <= number < len(configs) for number in of_member):
        raise ValueError(f"config_of_member {of_member} names none of its {len(configs)} configurations")
    if len({config.labels for config in configs}) > 1:
        raise ValueError("its configurations learn other labels, so their outputs are not of the same classes")
    return tuple(
        MemberFile(file=file, config=configs[number], weight=weight)
        for file, number, weight in zip(files, of_member, weights, strict=True)
    )


def load_member(file: Path, config: TrainConfig, outputs: int, machine: Machine) -> SegmentationModel:
    """Read a network onto a device, for predictions alone.

    Raises:
        CheckpointError: when the file is damaged, of another network, or holds what is no finite number.
    """
    try:
        refuse_irregular(file)
        weights = safetensors.torch.load_file(file)
    except Exception as error:
        raise CheckpointError(
            f"{file} cannot be read ({type(error).__name__}: {error}); copy the whole model anew, or train it again."
        ) from error
    member = build_member(weights, config, outputs, machine, str(file))
    # Of a single one all probabilities are none, and every pixel would be called the first class.
    if broken := [name for name, tensor in weights.items() if not bool(tensor.isfinite().all())]:
        raise CheckpointError(
            f"{file} holds values that are no finite numbers in {count_words(len(broken), 'tensor')}, {broken[0]!r} "
            "first: its training diverged, or it is damaged; copy it anew, or train it again."
        )
    return member


def build_member(
    weights: dict[str, Tensor], config: TrainConfig, outputs: int, machine: Machine, source: str
) -> SegmentationModel:
    """Return a network for predictions alone.

    Args:
        weights: on the CPU; numbers of 16 bits are taken, too.
        config: how they were trained.
        outputs: number of network outputs.
        machine: where it is to predict.
        source: where the weights come from, for messages.

    Raises:
        CheckpointError: when the weights are of another network, or of fewer bits.
    """
    model = build_architecture(config, outputs)
    own = model.state_dict()
    if quantised := [name for name, tensor in weights.items() if name in own and needs_scale(tensor, own[name])]:
        kind = str(weights[quantised[0]].dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{source} holds {kind} in {quantised[0]!r}, and of what scale is not known; copy the model anew, as it "
            "was before another program changed it."
        )
    try:
        model.load_state_dict(weights)
    # torch raises errors of many types for tensors that belong elsewhere, and names every one on lines of its own.
    except Exception as error:
        first, _, others = str(error).partition("\n")
        problem = (others.strip() or first).partition("\n")[0]
        raise CheckpointError(
            f"{source} is of another network than its configuration makes ({problem:.{_TOLD}}); put weights and "
            "configuration back that were written together."
        ) from error
    model.eval()
    fuse_normalisation(model)
    return model.to(machine.device)


def _describe(files: Sequence[str], configs: Sequence[TrainConfig], weights: Sequence[int]) -> dict[str, Any]:
    different = [config for position, config in enumerate(configs) if config not in configs[:position]]
    alike = {"format": _FORMAT, "members": list(files), "config": configs[0].values()}
    if len(different) == 1 and len(set(weights)) == 1:
        return alike
    return {
        **alike,
        "format": _FORMAT_OF_UNLIKE,
        "weights": list(weights),
        "configs": [config.values() for config in different],
        "config_of_member": [different.index(config) for config in configs],
    }


def _copy(tensor: Tensor) -> Tensor:
    # Layers may share a weight, as CoaT's do, and the file's format takes no memory under two names.
    return tensor.cpu().clone(memory_format=torch.contiguous_format)


def _halve(tensor: Tensor) -> Tensor:
    # Vectors are few numbers, and the means and variances of normalisation among them leave the range of 16 bits.
    if tensor.dtype != torch.float32 or tensor.ndim < 2:
        return tensor
    halved = tensor.half()
    return halved if bool(halved.isfinite().all()) else tensor
