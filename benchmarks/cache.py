"""How much faster a training crop comes from the cache than from the files: `python -m benchmarks.cache DATA`.

Both sides draw the same crops of the same cases, turn about in blocks, in one process and one thread. The files' side
is what a plain PyTorch data set does: decode the image, decode the mask, look its colours up, cut.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from segcore.cache import PixelCache, prepare_cache
from segcore.config import TrainConfig
from segcore.dataset import DataSet, decode_case, read_dataset
from segcore.synthetic import write_streets
from segcore.transforms import cut_sample

_ROUNDS = 5
_CROPS_PER_ROUND = 40


def main() -> None:
    """Print milliseconds per crop from the cache and from the files, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, help="data-set folder; left out: drawn streets of 1936x1216")
    parser.add_argument("--crop-size", type=int, default=512, help="pixels")
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or _draw(Path(folder) / "streets")
        dataset = read_dataset(data)
        cache = PixelCache(prepare_cache(dataset, Path(folder) / "cache"))
        crop_size = min(arguments.crop_size, cache.smallest_side)
        _compare(dataset, cache, TrainConfig(input_mode="crop", crop_size=crop_size))


def _draw(folder: Path) -> Path:
    write_streets(folder, cases=12, height=1216, width=1936, test_cases=0)
    return folder


def _compare(dataset: DataSet, cache: PixelCache, config: TrainConfig) -> None:
    def from_cache(index: int, random: np.random.Generator) -> None:
        image_HW3, mask_HW = cut_sample(cache.image_HW3(index), cache.mask_HW(index), config, random)
        _use(image_HW3, mask_HW)

    def from_files(index: int, random: np.random.Generator) -> None:
        decoded = decode_case(dataset.cases[index], dataset.classes)
        _use(*cut_sample(decoded.image_HW3, decoded.mask_HW, config, random))

    ratios, cache_ms, files_ms = [], [], []
    for seed in range(_ROUNDS):
        cache_ms.append(_time(from_cache, len(cache), seed))
        files_ms.append(_time(from_files, len(cache), seed))
        ratios.append(files_ms[-1] / cache_ms[-1])
    size = cache.cases[0]
    print(f"{len(cache)} cases of {size.width}x{size.height}, crops of {config.crop_size}, {_ROUNDS} rounds, medians")
    print(f"from the cache  {statistics.median(cache_ms):8.3f} ms per crop")
    print(f"from the files  {statistics.median(files_ms):8.3f} ms per crop")
    print(f"ratio           {statistics.median(ratios):8.0f}  ({min(ratios):.0f} to {max(ratios):.0f})")


def _use(image_HW3: np.ndarray, mask_HW: np.ndarray) -> None:
    # A crop is a view of the map until it is copied, as the loader does.
    np.ascontiguousarray(image_HW3)
    np.ascontiguousarray(mask_HW)


def _time(draw: Callable[[int, np.random.Generator], None], cases: int, seed: int) -> float:
    random = np.random.default_rng(seed)
    indices = random.integers(cases, size=_CROPS_PER_ROUND)
    started = time.perf_counter()
    for index in indices:
        draw(int(index), random)
    return 1000 * (time.perf_counter() - started) / _CROPS_PER_ROUND


if __name__ == "__main__":
    main()
