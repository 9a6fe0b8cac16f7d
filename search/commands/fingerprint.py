"""Reads the fingerprint of a data set and a device, which `search.space.auto` makes a space from."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

from search.space.auto import Fingerprint, list_backbones
from segcore.config import TrainConfig
from segcore.data.bringing import bring_data, name_data
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.data.extra import prepare_caches
from segcore.errors import WeightsError
from segcore.feeding.balance import count_class_pixels
from segcore.networks.weights import require_weights


def read_fingerprint(data: str, layout: str, cache_root: Path, device_gib: float | None) -> Fingerprint:
    """Decode a data set, where it is not decoded yet, and look at it.

    Args:
        data: the data-set folder, archive or address.
        layout: of it; empty: recognised.
        cache_root: folder of the caches.
        device_gib: memory of a GPU; 0: a CPU; None: of this machine's first GPU.

    Raises:
        DataError: when the data cannot be used.
        StorageError: when the cache cannot be written.
    """
    cache = prepare_caches(read_dataset(bring_data(data, cache_root), layout), (), cache_root)
    found = Fingerprint(
        name=name_data(data),
        images=len(cache.cases),
        usual_side=cache.usual_side,
        median_size=(
            int(median(case.height for case in cache.cases)),
            int(median(case.width for case in cache.cases)),
        ),
        shares=share_classes(cache),
        scored=cache.classes.scored,
        device_gib=_find_device_gib() if device_gib is None else device_gib,
    )
    return replace(found, lacking=find_lacking(list_backbones(found)))


def find_lacking(backbones: Sequence[str]) -> tuple[str, ...]:
    """Return the networks whose ImageNet weights are not here and cannot be fetched."""
    # A network that swallows what is sent costs seconds for each.
    with ThreadPoolExecutor(max_workers=len(backbones)) as pool:
        return tuple(name for name, had in zip(backbones, pool.map(_has_weights, backbones), strict=True) if not had)


def _has_weights(backbone: str) -> bool:
    try:
        require_weights(TrainConfig.from_values({"backbone": backbone}))
    except WeightsError:
        return False
    return True


def share_classes(cache: PixelCache) -> dict[str, float]:
    """Return each class's share of the labelled pixels, 0 to 1."""
    pixels_K = count_class_pixels(cache, range(len(cache.cases)))
    total = max(1, int(pixels_K.sum()))
    return {name: float(pixels) / total for name, pixels in zip(cache.classes.names, pixels_K, strict=True)}


def _find_device_gib() -> float:
    if not torch.cuda.is_available():
        return 0.0
    return float(torch.cuda.get_device_properties(0).total_memory) / 2**30
