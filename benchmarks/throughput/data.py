"""How much faster training samples come from the cache than from files: `python -m benchmarks.throughput.data [DATA]`.

Both sides draw the same samples of the same cases, turn about in blocks, in one process and one thread. The files' side
is what a plain PyTorch data set does: decode the image, decode the mask, look its colours up, cut or resize.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.measuring import Throughput, describe_machine, describe_ratios, open_data, run_rounds
from benchmarks.throughput.plain_data import build_colour_table, read_indices, read_rgb
from segcore.config import TrainConfig
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.case import DataSet
from segcore.feeding.transforms import Image, cut_sample

_ROUNDS: Final = 5
_SAMPLES_PER_ROUND: Final = 40


def main() -> None:
    """Print samples per second from the cache and from the files, and their ratio, for each input mode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, help="data-set folder; left out: drawn streets of 1936x1216")
    parser.add_argument("--crop-size", type=int, default=512, help="pixels")
    parser.add_argument("--scale", type=float, default=0.5, help="side of a resized image per side of the image")
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_data(arguments.data, Path(folder), cases=12)
        cache = PixelCache(prepare_cache(dataset, Path(folder) / "cache"))
        crop_size = min(arguments.crop_size, cache.usual_side)
        size = cache.cases[0]
        print(f"{len(cache)} images of {size.width}x{size.height}; {_ROUNDS} rounds of {_SAMPLES_PER_ROUND} samples")
        print("| input | cache, samples/s | files, samples/s | ratio (range) |")
        print("| --- | --- | --- | --- |")
        for name, config in (
            (f"crop {crop_size}", TrainConfig(input_mode="crop", crop_size=crop_size)),
            (f"resize {arguments.scale}", TrainConfig(input_mode="resize", scale=arguments.scale)),
            ("full", TrainConfig(input_mode="full")),
        ):
            print(f"| {name} | {' | '.join(_compare(dataset, cache, config))} |", flush=True)


def _compare(dataset: DataSet, cache: PixelCache, config: TrainConfig) -> Iterator[str]:
    index_of_colour = build_colour_table(dataset.classes)

    def read_cache(index: int) -> tuple[Image, Image]:
        return cache.image_HW3(index), cache.mask_HW(index)

    def read_files(index: int) -> tuple[Image, Image]:
        case = dataset.cases[index]
        return read_rgb(case.image), read_indices(case.mask, index_of_colour)

    arms = {"cache": _Reader(read_cache, len(cache), config), "files": _Reader(read_files, len(cache), config)}
    found = run_rounds({name: reader.run_round for name, reader in arms.items()}, _ROUNDS)
    for rounds in found.values():
        yield f"{statistics.median(throughput.samples_per_second for throughput in rounds):.0f}"
    pairs = zip(found["cache"], found["files"], strict=True)
    yield describe_ratios([ours.samples_per_second / theirs.samples_per_second for ours, theirs in pairs])


class _Reader:
    """Reads random cases; both sides' rounds draw the same ones."""

    def __init__(self, read: Callable[[int], tuple[Image, Image]], cases: int, config: TrainConfig) -> None:
        self._read = read
        self._cases = cases
        self._config = config
        self._random = np.random.default_rng(0)

    def run_round(self) -> Throughput:
        # The processor's time instead of the clock's: one thread, and others may use the machine too.
        started = time.process_time()
        for index in self._random.integers(self._cases, size=_SAMPLES_PER_ROUND):
            image_HW3, mask_HW = cut_sample(*self._read(int(index)), self._config, self._random)
            # What comes from the map is a view until it is copied, as the loader does.
            np.array(image_HW3), np.array(mask_HW)
        seconds = time.process_time() - started
        return Throughput(
            samples_per_second=_SAMPLES_PER_ROUND / seconds, core_seconds_per_sample=seconds / _SAMPLES_PER_ROUND
        )


if __name__ == "__main__":
    main()
