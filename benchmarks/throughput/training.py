"""How many samples a second a training takes, against plain loops: `python -m benchmarks.throughput.training [DATA]`.

Three arms train the same U-Net on the same images at the same sizes: segcore through `train_epochs`, the loop of a
competent user and the recipe of the contest's solution (both in `plain_training`). Rounds of the arms take turns.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import (
    ArmProcess,
    Throughput,
    count_core_seconds,
    describe_machine,
    describe_ratios,
    open_data,
    run_rounds,
)
from benchmarks.throughput.modes import parse_mode
from benchmarks.throughput.plain_training import build_contest, build_plain
from segcore.config import TrainConfig
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.case import DataSet
from segcore.data.labels import build_label_map
from segcore.feeding.transforms import sample_size
from segcore.machine import Machine, detect_machine
from segcore.networks.model import build_architecture
from segcore.training.state import new_state
from segcore.training.train import train_epochs

_OTHERS: Final = {"plain": build_plain, "contest": build_contest}


class SegcoreTraining:
    """segcore's training as a user has it; a round is an epoch.

    Args:
        cache: the decoded data; its first image is validated on, the others are trained on.
        config: what is trained; an epoch has as many samples as `steps` batches.
        machine: where to train.
        steps: optimizer steps of a round.
    """

    def __init__(self, cache: PixelCache, config: TrainConfig, machine: Machine, steps: int) -> None:
        state = new_state(config, build_label_map(cache.classes, config.labels).outputs, machine)
        self.network: nn.Module = state.model
        trained = range(1, len(cache))
        indices = list(itertools.islice(itertools.cycle(trained), steps * int(config.batch_size)))
        self._results = train_epochs(state, cache, indices, [0], machine)
        self._samples = len(indices)

    def run_round(self) -> Throughput:
        """Train an epoch; the validation at its end is not counted."""
        cores, started = count_core_seconds(), time.perf_counter()
        result = next(self._results)
        # The validation's share of the processor time is that of its wall time: both keep all threads busy.
        share = result.train_seconds / (time.perf_counter() - started)
        return Throughput(
            samples_per_second=result.samples_per_second,
            core_seconds_per_sample=share * (count_core_seconds() - cores) / self._samples,
            wait_share=result.wait_share,
        )


def build_segcore(cache: PixelCache, config: TrainConfig, *, steps: int, cpus: int) -> SegcoreTraining:
    """Return segcore's arm on the machine that a user with so many cores gets."""
    return SegcoreTraining(cache, config, detect_machine(cpus), steps)


def main() -> None:
    """Print a table of samples per second and segcore's ratios to the others, for every input mode."""
    arguments = _parse_arguments()
    print(describe_machine())
    machine = detect_machine(arguments.cpus)
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_data(arguments.data, Path(folder), arguments.cases)
        cache = PixelCache(prepare_cache(dataset, Path(folder) / "cache"))
        print(
            f"{len(cache)} images, the first {cache.cases[0].width}x{cache.cases[0].height}; U-Net over "
            f"{arguments.backbone}; {arguments.rounds} rounds of {arguments.steps} batches of {arguments.batch_size} "
            f"after one to warm up; on {machine.device} with {arguments.cpus} threads; loader workers: "
            f"{machine.loader_workers} for segcore, {arguments.cpus} for the others"
        )
        for mode in arguments.modes:
            lines = compare(dataset, cache, _configure(mode, arguments), machine, arguments)
            print("\n".join(("", *lines)), flush=True)


def count_flops(config: TrainConfig, outputs: int, height: int, width: int) -> float:
    """Return the floating-point operations of forward and backward pass per sample, without computing anything."""
    batch = 2
    with torch.device("meta"):
        model = build_architecture(config, outputs).train()
        images_NHW3 = torch.zeros(batch, height, width, 3, dtype=torch.uint8)
    with FlopCounterMode(display=False) as counter:
        model(images_NHW3).sum().backward()
    return float(counter.get_total_flops()) / batch


def compare(
    dataset: DataSet, cache: PixelCache, config: TrainConfig, machine: Machine, arguments: argparse.Namespace
) -> Iterator[str]:
    """Measure the arms in one input mode and yield the lines of a table in Markdown."""
    steps, cpus = arguments.steps, arguments.cpus
    arms = {"segcore": ArmProcess(partial(build_segcore, cache, config, steps=steps, cpus=cpus))}
    for name in arguments.arms:
        build = partial(_OTHERS[name], dataset, config, steps=steps, cpus=cpus, device=machine.device)
        arms[name] = ArmProcess(build)
    found = run_rounds({name: arm.run_round for name, arm in arms.items()}, arguments.rounds)
    for arm in arms.values():
        arm.close()
    height, width = sample_size(cache.cases[0].height, cache.cases[0].width, config)
    flops = count_flops(config, len(cache.classes), height, width)
    yield f"{config.input_mode} {width}x{height}: {flops / 1e9:.1f} GFLOP per sample"
    yield "| arm | parameters | samples/s (range) | TFLOP/s | waiting | core ms/sample | faster by | less core time |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for name, arm in arms.items():
        yield f"| {name} | {arm.parameters:,} | {_format_rounds(found[name], found['segcore'], flops)} |"


def _format_rounds(rounds: Sequence[Throughput], ours: Sequence[Throughput], flops: float) -> str:
    rates = [throughput.samples_per_second for throughput in rounds]
    rate = statistics.median(rates)
    core_seconds = [throughput.core_seconds_per_sample for throughput in rounds]
    faster = [our.samples_per_second / rate for our, rate in zip(ours, rates, strict=True)]
    cheaper = [seconds / our.core_seconds_per_sample for our, seconds in zip(ours, core_seconds, strict=True)]
    cells = (
        f"{rate:.2f} ({min(rates):.2f} to {max(rates):.2f})",
        f"{rate * flops / 1e12:.3f}",
        f"{100 * statistics.median(throughput.wait_share for throughput in rounds):.0f} %",
        f"{1000 * statistics.median(core_seconds):.0f}",
        describe_ratios(faster),
        describe_ratios(cheaper),
    )
    return " | ".join(cells)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("data", nargs="?", type=Path, help="data-set folder; left out: drawn streets of 1936x1216")
    add("--modes", nargs="+", type=parse_mode, default=[parse_mode("crop:256")], help="crop:PIXELS resize:SCALE full")
    add("--arms", nargs="+", choices=_OTHERS, default=list(_OTHERS), help="what segcore is compared with")
    add("--backbone", default="tf_efficientnet_lite0", help="timm model, with random weights")
    add("--decoder-channels", type=int, default=256)
    add("--batch-size", type=int, default=8)
    add("--precision", default="auto", help="segcore's; the plain loop has bf16 on a GPU and fp32 on a CPU")
    add("--steps", type=int, default=6, help="batches of a round")
    add("--rounds", type=int, default=3)
    add("--cases", type=int, default=9, help="drawn streets")
    add("--cpus", type=int, default=os.cpu_count() or 1, help="threads, and workers of the plain loops")
    return parser.parse_args()


def _configure(mode: dict[str, Any], arguments: argparse.Namespace) -> TrainConfig:
    return TrainConfig.from_values(
        {
            **mode,
            "backbone": arguments.backbone,
            "weights": "none",
            "decoder_channels": arguments.decoder_channels,
            "batch_size": arguments.batch_size,
            "precision": arguments.precision,
            "rate_schedule": "constant",
            "epochs": arguments.rounds + 1,
        }
    )


if __name__ == "__main__":
    main()
