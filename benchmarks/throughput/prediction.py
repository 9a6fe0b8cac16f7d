"""Images per second and memory of a predicting ensemble: `python -m benchmarks.throughput.prediction [DATA]`.

One side is what `python -m segcore predict` does. The other is the plain way: networks of segmentation_models.pytorch
in a list, each image decoded and normalised on the CPU, the probabilities of every network kept and averaged at the
end, the mask saved, one after the other. Both have the same weights and precision, and save colour masks only.
Each measurement runs in a process of its own, turn about; peak memory is that process's own.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import safetensors.torch
import torch

from benchmarks.measuring import STREET_HEIGHT, STREET_WIDTH, describe_machine
from segcore.config import STRIDE, TrainConfig
from segcore.data.classes import CONTEST_CLASSES
from segcore.data.decoding import decode_rgb, read_size
from segcore.data.labels import build_label_map
from segcore.data.listing import list_images
from segcore.data.picture_files import Image
from segcore.data.sources.contest import IMAGES_FOLDER
from segcore.errors import DataError
from segcore.machine import detect_machine, reuse_freed_memory
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble_files import load_ensemble, save_ensemble
from segcore.prediction.files import predict_files
from segcore.scoring.mask_files import save_mask
from segcore.streets.synthetic import write_streets

SIDES: Final = ("segcore", "plain")
MEMBERS: Final = (1, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measurement.

    Args:
        images_per_second: throughput, reading and saving included.
        peak_mib: most memory of the process, or of the GPU where there is one.
    """

    images_per_second: float
    peak_mib: float


def main() -> None:
    """Print images per second and peak memory of both sides, and their ratios."""
    arguments = _parse()
    if arguments.arm:
        print(
            json.dumps(asdict(run_arm(arguments.arm, arguments.model, arguments.data, arguments.out, arguments.cpus)))
        )
        return
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = _find_images(arguments, folder)
        runs: dict[tuple[str, int], list[Run]] = {}
        for members in MEMBERS:
            write_model(folder / f"model_{members}", members, arguments.backbone, arguments.decoder_channels)
        for _ in range(arguments.repeats):
            for members in MEMBERS:
                for side in SIDES:
                    found = _run_in_a_process(side, folder / f"model_{members}", images, folder / side, arguments.cpus)
                    runs.setdefault((side, members), []).append(found)
        files = list_images(images)
        height, width = read_size(files[0])
        print(
            f"{machine}; {arguments.cpus} of its cores used; {arguments.backbone}, "
            f"{len(files)} images of {width}x{height}"
        )
        print(f"{arguments.repeats} repeat(s) turn about, medians (least to most)")
        print(f"pixels on which both sides agree: {measure_agreement(folder / 'segcore', folder / 'plain'):.2%}")
        print("\n".join(format_runs(runs)))


def format_runs(runs: Mapping[tuple[str, int], Sequence[Run]]) -> list[str]:
    """Return the lines of the report: each side's figures, then how many times better segcore is."""
    lines = []
    for members in sorted({members for _, members in runs}):
        for side in SIDES:
            speeds = [run.images_per_second for run in runs[side, members]]
            memories = [run.peak_mib for run in runs[side, members]]
            lines.append(
                f"{members} network(s)  {side:8}{statistics.median(speeds):8.3f} images/s "
                f"({min(speeds):.3f} to {max(speeds):.3f}){statistics.median(memories):9.0f} MiB"
            )
        pairs = list(zip(runs["segcore", members], runs["plain", members], strict=True))
        faster = [ours.images_per_second / plain.images_per_second for ours, plain in pairs]
        smaller = statistics.median(plain.peak_mib / ours.peak_mib for ours, plain in pairs)
        lines.append(
            f"{members} network(s)  ratio   {statistics.median(faster):8.2f} times as fast "
            f"({min(faster):.2f} to {max(faster):.2f}), memory {smaller:.2f} times smaller"
        )
    return lines


def write_model(folder: Path, members: int, backbone: str, decoder_channels: int) -> None:
    """Write an ensemble of networks with random weights, whose work is that of trained ones."""
    config = TrainConfig(backbone=backbone, weights="none", decoder_channels=decoder_channels)
    outputs = build_label_map(CONTEST_CLASSES, config.labels).outputs

    def build(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        return build_architecture(config, outputs).state_dict()

    save_ensemble(folder, map(build, range(members)), config=config, classes=CONTEST_CLASSES, notes={})


def run_arm(side: str, model: Path, images: Path, out: Path, cpus: int) -> Run:
    """Predict a folder of images on one side, after one image for warming up.

    Args:
        side: one of `SIDES`.
        model: the ensemble's directory.
        images: folder of images.
        out: folder for the masks.
        cpus: cores to use.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = list_images(images)
    torch.set_num_threads(cpus)
    predict = (prepare_segcore if side == "segcore" else prepare_plain)(model, out, cpus)
    predict(files[:1])
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    predict(files)
    seconds = time.perf_counter() - started
    peak_bytes = (
        torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return Run(images_per_second=len(files) / seconds, peak_mib=peak_bytes / 2**20)


def prepare_segcore(model: Path, out: Path, cpus: int) -> Callable[[Sequence[Path]], None]:
    """Return what predicts files as `python -m segcore predict` does, without overlays."""
    reuse_freed_memory()
    ensemble = load_ensemble(model, detect_machine(cpus))

    def save(file: Path, image_HW3: Image, classes_HW: Image) -> None:
        save_mask(classes_HW, out / f"{file.stem}.png", ensemble.classes)

    def predict(files: Sequence[Path]) -> None:
        problems = predict_files(ensemble, files, save, lambda done, total: None, writers=cpus)
        if problems:
            raise DataError("An image left out takes no time, so nothing is measured:", problems)

    return predict


def prepare_plain(model: Path, out: Path, cpus: int) -> Callable[[Sequence[Path]], None]:
    """Return what predicts files the plain way."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    document = json.loads((model / "ensemble.json").read_text())
    networks = [_load_plain(model / name, document, device) for name in document["members"]]
    mean_3, std_3 = (np.array(document["normalisation"][name], np.float32) for name in ("mean", "std"))
    palette_N3 = CONTEST_CLASSES.palette_N3

    @torch.inference_mode()
    def predict(files: Sequence[Path]) -> None:
        for file in files:
            image_HW3 = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
            height, width = image_HW3.shape[:2]
            pixels_HW3 = (image_HW3.astype(np.float32) / 255 - mean_3) / std_3
            padded_HW3 = np.pad(pixels_HW3, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)))
            batch_13HW = torch.from_numpy(padded_HW3.transpose(2, 0, 1).copy()).unsqueeze(0).to(device)
            probabilities = []
            for network in networks:
                # Automatic precision on a GPU: segcore uses it too.
                with torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext():
                    logits_1CHW = network(batch_13HW)
                probabilities.append(logits_1CHW[..., :height, :width].float().softmax(dim=1))
            classes_HW = torch.stack(probabilities).mean(dim=0).argmax(dim=1)[0].cpu().numpy()
            colours_HW3 = palette_N3[classes_HW]
            cv2.imwrite(str(out / f"{file.stem}.png"), cv2.cvtColor(colours_HW3, cv2.COLOR_RGB2BGR))

    return predict


def measure_agreement(one: Path, other: Path) -> float:
    """Return the share of pixels that are alike in the masks of two folders."""
    shares = []
    for file in sorted(one.glob("*.png")):
        alike_HW = (decode_rgb(file) == decode_rgb(other / file.name)).all(axis=-1)
        shares.append(alike_HW.mean())
    return float(np.mean(shares))


def _load_plain(file: Path, document: dict[str, Any], device: torch.device) -> torch.nn.Module:
    config = TrainConfig.from_values(document["config"])
    outputs = build_label_map(CONTEST_CLASSES, config.labels).outputs
    model = build_architecture(config, outputs)
    model.load_state_dict(safetensors.torch.load_file(file))
    network: torch.nn.Module = model.network
    return network.to(memory_format=torch.contiguous_format).to(device).eval()


def _run_in_a_process(side: str, model: Path, images: Path, out: Path, cpus: int) -> Run:
    command = [sys.executable, "-m", "benchmarks.throughput.prediction", str(images), "--arm", side,
               "--model", str(model),
               "--out", str(out), "--cpus", str(cpus)]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(cpus)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr}")
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def _find_images(arguments: argparse.Namespace, folder: Path) -> Path:
    if arguments.data:
        labelled = arguments.data / IMAGES_FOLDER
        return Path(labelled if labelled.is_dir() else arguments.data)
    write_streets(
        folder / "streets", cases=arguments.images, height=arguments.height, width=arguments.width, test_cases=0
    )
    return folder / "streets" / IMAGES_FOLDER


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, help="data set or folder of images; left out: drawn streets")
    parser.add_argument("--height", type=int, default=STREET_HEIGHT, help="of the drawn streets, pixels")
    parser.add_argument("--width", type=int, default=STREET_WIDTH, help="of the drawn streets, pixels")
    parser.add_argument("--images", type=int, default=8, help="drawn streets")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0", help="timm model used as encoder")
    parser.add_argument("--decoder-channels", type=int, default=64, help="of the deepest block")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each side")
    parser.add_argument("--cpus", type=int, default=2, help="processor cores")
    for name, kind in (("--arm", str), ("--model", Path), ("--out", Path)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
