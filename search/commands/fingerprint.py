"""Reads the fingerprint of a data set and a device, which `search.space.auto` makes a space from."""

from pathlib import Path
from statistics import median

import torch

from search.space.auto import Fingerprint
from segcore.data.bringing import bring_data, name_data
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.data.extra import prepare_caches
from segcore.feeding.balance import count_class_pixels


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
    return Fingerprint(
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


def share_classes(cache: PixelCache) -> dict[str, float]:
    """Return each class's share of the labelled pixels, 0 to 1."""
    pixels_K = count_class_pixels(cache, range(len(cache.cases)))
    total = max(1, int(pixels_K.sum()))
    return {name: float(pixels) / total for name, pixels in zip(cache.classes.names, pixels_K, strict=True)}


def _find_device_gib() -> float:
    if not torch.cuda.is_available():
        return 0.0
    return float(torch.cuda.get_device_properties(0).total_memory) / 2**30
