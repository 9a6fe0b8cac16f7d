"""What feeding a training costs and how much of it is void: `python -m benchmarks.throughput.feeding [DATA]`.

Each row changes one thing about the samples of an input mode. Cutting and the library's augmentation take the loader's
cores, augmentation as tensors the device. `--sheet FILE` writes a page of samples, to be looked at.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.measuring import describe_machine, open_data
from benchmarks.throughput.modes import parse_mode
from segcore.config import TrainConfig
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.classes import VOID
from segcore.data.labels import build_label_map
from segcore.feeding.batch import Batch
from segcore.feeding.loader import collate
from segcore.feeding.samples import Sample, TrainingSamples
from segcore.feeding.tensor_augmentation import change_batch
from segcore.feeding.turning import count_room
from segcore.insight.figures import overlay
from segcore.insight.page import Section, build_page, class_legend, element, join, write_page
from segcore.insight.page_pictures import photo

_JITTER: Final[dict[str, Any]] = {"scale_jitter": 2.0}
_DEVICE: Final[dict[str, Any]] = {"augmentation_on": "device"}
ROWS: Final[dict[str, dict[str, Any]]] = {
    "flip": {},
    "light": {"augmentation": "light"},
    "strong": {"augmentation": "strong"},
    "flip, jitter": _JITTER,
    "light, jitter": {"augmentation": "light", **_JITTER},
    "strong, jitter": {"augmentation": "strong", **_JITTER},
    "light on the device": {"augmentation": "light", **_DEVICE},
    "strong on the device": {"augmentation": "strong", **_DEVICE},
    "light on the device, jitter": {"augmentation": "light", **_DEVICE, **_JITTER},
    "strong on the device, jitter": {"augmentation": "strong", **_DEVICE, **_JITTER},
    "flip, classes mixed": {"class_mix_probability": 1.0},
    "flip, objects pasted": {"copy_paste_probability": 1.0},
    "flip, class share 0.75": {"max_class_share": 0.75},
}
_BATCH: Final = 4
_SHOWN: Final = 8
_PICTURE_WIDTH: Final = 260


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """What the samples of a row are and took.

    Args:
        batches: as the network sees them, on the CPU.
        loader_milliseconds: of a core per sample.
        device_milliseconds: of the device per sample; of a core where it is the CPU.
        operations: that the device was given per batch, at most.
    """

    batches: list[Batch]
    loader_milliseconds: float
    device_milliseconds: float
    operations: int


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch has no types for it
    """Counts what torch is asked to do."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        return func(*args, **(kwargs or {}))


def main() -> None:
    """Print void, cost and operations of every row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, help="data-set folder; left out: drawn streets of 1936x1216")
    parser.add_argument(
        "--mode", type=parse_mode, default=parse_mode("crop:512"), help="crop:PIXELS, resize:SCALE, full"
    )
    parser.add_argument("--samples", type=int, default=60, help="of each row")
    parser.add_argument("--sheet", type=Path, help="page of samples to write")
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(describe_machine())
    sections = []
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_data(arguments.data, Path(folder), cases=12)
        cache = PixelCache(prepare_cache(dataset, Path(folder) / "cache"))
        print(f"{len(cache)} images; a sample without change is void in {_void_share_of(cache):.2%} of its pixels")
        print("| samples | void | loader, ms | device, ms | operations of a batch |")
        print("| --- | --- | --- | --- | --- |")
        for name, values in ROWS.items():
            fed = feed(cache, TrainConfig.from_values({**arguments.mode, **values}), arguments.samples, device)
            print(f"| {name} | {' | '.join(_format(fed))} |", flush=True)
            if arguments.sheet:
                sections.append(_show(name, fed, cache))
    if arguments.sheet:
        write_page(build_page("Samples", [class_legend(cache.classes)], sections), arguments.sheet)


def feed(cache: PixelCache, config: TrainConfig, count: int, device: str) -> Fed:
    """Make so many samples in batches of four and change them on the device.

    Args:
        cache: the decoded data; all of it is trained on.
        config: what samples are.
        count: samples; rounded down to whole batches.
        device: torch device.
    """
    labels = build_label_map(cache.classes, "full")
    samples = TrainingSamples(cache, range(len(cache)), config, labels.target_of_class)
    positions = np.random.default_rng(0).integers(len(samples), size=count)
    # What is built on first use is no cost of a sample.
    samples[0, 0]
    started = time.process_time()
    made = [samples[epoch, int(position)] for epoch, position in enumerate(positions)]
    loader_seconds = time.process_time() - started
    batches = [_batch(made[start : start + _BATCH]) for start in range(0, count - _BATCH + 1, _BATCH)]
    change_batch(batches[0], count_room(config), device)
    counters, changed = [], []
    started = time.perf_counter() if device == "cuda" else time.process_time()
    for batch in batches:
        changed.append(change_batch(batch, count_room(config), device))
    if device == "cuda":
        torch.cuda.synchronize()
    ended = time.perf_counter() if device == "cuda" else time.process_time()
    for batch in batches:
        with _Counter() as counter:
            change_batch(batch, count_room(config), device)
        counters.append(counter.operations)
    return Fed(
        batches=[Batch(images_NHW3=batch.images_NHW3.cpu(), target_NHW=batch.target_NHW.cpu()) for batch in changed],
        loader_milliseconds=1000 * loader_seconds / count,
        device_milliseconds=1000 * (ended - started) / (_BATCH * len(batches)),
        operations=max(counters),
    )


def _batch(samples: list[Sample]) -> Batch:
    images_NHW3, target_NHW, changes_NP = collate(samples)
    return Batch(images_NHW3=images_NHW3, target_NHW=target_NHW, changes_NP=changes_NP)


def _format(fed: Fed) -> Iterator[str]:
    void = [float((batch.target_NHW == VOID).float().mean()) for batch in fed.batches]
    most = max(float((target_HW == VOID).float().mean()) for batch in fed.batches for target_HW in batch.target_NHW)
    yield f"{np.mean(void):.1%} (most {most:.0%})"
    yield f"{fed.loader_milliseconds:.1f}"
    yield f"{fed.device_milliseconds:.1f}" if fed.operations else "-"
    yield str(fed.operations or "-")


def _void_share_of(cache: PixelCache) -> float:
    return float(np.mean([case.class_pixels[-1] / (case.height * case.width) for case in cache.cases]))


def _show(name: str, fed: Fed, cache: PixelCache) -> Section:
    pairs = [pair for batch in fed.batches for pair in zip(batch.images_NHW3, batch.target_NHW, strict=True)]
    figures = []
    for number, (image_HW3, target_HW) in enumerate(pairs[:_SHOWN]):
        figures.append(photo(image_HW3.numpy(), f"sample {number}", _PICTURE_WIDTH))
        figures.append(
            photo(overlay(image_HW3.numpy(), target_HW.numpy(), cache.classes), "its classes", _PICTURE_WIDTH)
        )
    return Section(title=name, hint="Void has no colour.", content=element("div", join(figures), "pictures"))


if __name__ == "__main__":
    main()
