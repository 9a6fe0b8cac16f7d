"""What each choice of a training does to the score at equal epochs: `python -m benchmarks.throughput.choices DATA`.

Every row changes one thing of a base configuration and trains it on the same fold, once; seeds of the base show the
noise. Rows are kept in a file as they end, so that a second start trains only what is missing. The table is Markdown.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch

from segcore.config import TrainConfig
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.data.dividing.folds import make_folds
from segcore.data.labels import build_label_map
from segcore.machine import detect_machine
from segcore.prediction.ensemble import save_ensemble
from segcore.training.state import member_weights, new_state
from segcore.training.train import train_epochs

FOLDS: Final = 5
BASE: Final[dict[str, Any]] = {
    "backbone": "tf_efficientnet_lite0",
    "decoder_channels": 64,
    "input_mode": "resize",
    "scale": 0.4,
    "learning_rate": 3e-3,
    "batch_size": 8,
    "epochs": 4,
    "precision": "fp32",
}
SMALL: Final[dict[str, Any]] = {"scale": 0.25, "epochs": 3}
"""A CPU computes fp16 ten times as slowly as fp32, so precisions are compared on smaller images."""
CROPS: Final[dict[str, Any]] = {
    "decoder": "upernet",
    "class_weights": "balanced",
    "input_mode": "crop",
    "crop_size": 192,
    "crops_per_image": 1,
    "epochs": 2,
}
"""A quarter of an image's pixels in an epoch: rows of feeding are two seeds each."""

JITTER: Final[dict[str, Any]] = {"scale_jitter": 2.0}
STRONG: Final[dict[str, Any]] = {"augmentation": "strong"}
FEEDING: Final[list[dict[str, Any]]] = [
    {},
    JITTER,
    {"class_mix_probability": 0.5},
    {"copy_paste_probability": 0.5},
    STRONG,
    {**STRONG, **JITTER},
    {**STRONG, **JITTER, "augmentation_on": "device"},
]

BRIEF: Final[dict[str, Any]] = {"decoder": "upernet", "scale": 0.15, "epochs": 2}
"""For choices whose effect is looked for at two seeds, in little time."""

LEARNING: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"ohem_share": 0.25},
    {"label_smoothing": 0.1},
    {"loss": "ce+boundary"},
    {"auxiliary_weight": 0.4},
    {"weight_decay": 0.05},
    {"weight_decay": 0.05, "decay_on": "kernels"},
    {"encoder_layer_decay": 0.9},
    {"backbone_options": "drop_path_rate=0.1"},
)

GROUPS: Final[dict[str, list[dict[str, Any]]]] = {
    "base and noise": [{}, {"seed": 1}, {"seed": 2}],
    "loss": [
        {"loss": "focal"},
        {"loss": "ce+jaccard"},
        {"loss": "jaccard"},
        {"loss": "bce"},
        {"loss": "ce+dice"},
        {"loss": "ce+lovasz"},
        {"class_weights": "balanced"},
    ],
    "augmentation": [{"augmentation": "none"}, {"augmentation": "light"}, {"augmentation": "strong"}],
    "weights": [{"weights": "none"}],
    "labels": [{"labels": "scored"}],
    "attention": [{"attention": "se"}, {"attention": "scse"}],
    "decoder": [
        {"decoder": "linknet"},
        {"decoder": "unetplusplus"},
        {"decoder": "fpn"},
        {"decoder": "deeplabv3plus"},
        {"decoder": "manet"},
        {"decoder": "upernet"},
    ],
    "input mode": [
        {"input_mode": "full"},
        {"input_mode": "crop", "crop_size": 192},
        {"input_mode": "crop", "crop_size": 192, "rare_crop_probability": 0.5},
    ],
    "the best together": [
        {"decoder": "upernet", "class_weights": "balanced"},
        {"decoder": "upernet", "class_weights": "balanced", "input_mode": "crop", "crop_size": 192},
    ],
    "feeding of crops": [
        {**CROPS, **changes, "seed": seed} for changes in (*FEEDING, {"max_class_share": 0.75}) for seed in (0, 1)
    ],
    "feeding of whole images": [{**BRIEF, **changes, "seed": seed} for seed in (0, 1) for changes in FEEDING],
    "precision": [SMALL, {**SMALL, "seed": 1}, {**SMALL, "precision": "bf16"}, {**SMALL, "precision": "fp16"}],
    "rate and weights": [
        {"rate_schedule": "cosine"},
        {"rate_schedule": "constant"},
        {"encoder_rate_factor": 0.1},
        {"ema_decay": 0.99},
        {"freeze": "encoder"},
    ],
    "learning": [{**BRIEF, **changes, "seed": seed} for seed in (0, 1) for changes in LEARNING],
    "backbone": [{"backbone": "tf_efficientnet_lite1"}, {"backbone": "tf_efficientnet_lite2"}],
}


def main() -> None:
    """Train the rows that are missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="data-set folder")
    parser.add_argument("--out", type=Path, default=Path("choices"), help="folder of results and models")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/street-search"), help="folder of decoded images")
    parser.add_argument("--groups", default=",".join(GROUPS), help="which groups, joined by commas")
    parser.add_argument("--cpus", type=int, default=2, help="processor cores")
    arguments = parser.parse_args()
    dataset = read_dataset(arguments.data)
    cache = PixelCache(prepare_cache(dataset, arguments.cache.expanduser()))
    train_indices, valid_indices = make_folds(dataset.cases, FOLDS).split(cache.names, 0)
    arguments.out.mkdir(parents=True, exist_ok=True)
    known = {_describe(row["changes"]): row for row in read_rows(arguments.out / "rows.jsonl")}
    for group in arguments.groups.split(","):
        for changes in GROUPS[group]:
            if _describe(changes) not in known:
                row = train_row(changes, cache, train_indices, valid_indices, arguments.cpus, arguments.out)
                known[_describe(changes)] = row
                with (arguments.out / "rows.jsonl").open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(row) + "\n")
                print(format_row(row), flush=True)
    print("\n".join(format_table(known)))


def train_row(
    changes: Mapping[str, Any],
    cache: PixelCache,
    train_indices: list[int],
    valid_indices: list[int],
    cpus: int,
    out: Path,
) -> dict[str, Any]:
    """Train the base with some values changed, keep its model, and return its last epoch's scores and its seconds."""
    config = TrainConfig.from_values({**BASE, **changes})
    machine = detect_machine(cpus)
    started = time.perf_counter()
    state = new_state(config, build_label_map(cache.classes, config.labels).outputs, machine)
    results = list(train_epochs(state, cache, train_indices, valid_indices, machine))
    weights = iter(member_weights(state))
    folder = out / "models" / _describe(changes).replace(" ", "_")
    save_ensemble(folder, weights, config=config, classes=cache.classes, notes={"fold": 0, "folds": FOLDS})
    return {
        "changes": dict(changes),
        "metrics": results[-1].metrics,
        "scores": state.scores,
        "seconds": time.perf_counter() - started,
        "torch": torch.__version__,
        "device": machine.device,
    }


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of earlier starts."""
    if file.exists():
        yield from map(json.loads, file.read_text(encoding="utf-8").splitlines())


def format_table(known: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table, groups in their order, rows that are missing left out."""
    yield "| choice | iou | miou | seconds |"
    yield "| --- | --- | --- | --- |"
    for group, rows in GROUPS.items():
        found = [known[_describe(changes)] for changes in rows if _describe(changes) in known]
        if found:
            yield f"| **{group}** | | | |"
        yield from map(format_row, found)


def format_row(row: Mapping[str, Any]) -> str:
    """Return one line of the table."""
    # A network of the scored classes alone has no mean over all of them.
    iou, miou = (f"{row['metrics'][name]:.4f}" if name in row["metrics"] else "-" for name in ("iou", "miou"))
    return f"| {_describe(row['changes'])} | {iou} | {miou} | {row['seconds']:.0f} |"


def _describe(changes: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in changes.items()) or "base"


if __name__ == "__main__":
    main()
