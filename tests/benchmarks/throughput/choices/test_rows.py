"""A row of the table is one real training."""

from pathlib import Path

import torch

from benchmarks.throughput.choices.rows import Task, add_row, identify, read_rows, train_row
from segcore.data.caching.cache import PixelCache

TINY = {"weights": "none", "input_mode": "crop", "crop_size": 32, "crops_per_image": 1, "decoder_channels": 16}


def test_a_row_holds_the_scores_of_its_last_epoch_and_what_it_was_trained_on(cache: PixelCache, tmp_path: Path):
    task = Task(
        cache=cache, train_indices=(1, 2), valid_indices=(0,), cpus=torch.get_num_threads(), at_once=1, models=tmp_path
    )
    changes = {**TINY, "batch_size": 2, "epochs": 2, "seed": 1}
    row = train_row(task, changes)
    assert (row["changes"], row["device"], len(row["scores"])) == (changes, "cpu", 2)
    assert row["metrics"]["iou"] == row["scores"][-1]
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 1
    add_row(tmp_path / "rows.jsonl", row)
    assert [identify(kept["device"], kept["changes"]) for kept in read_rows(tmp_path / "rows.jsonl")] == [
        identify("cpu", changes)
    ]
