from pathlib import Path

import pytest

from segcore.data.dataset import read_dataset
from segcore.errors import ConfigError


@pytest.mark.parametrize("inside", [".", "seg_train_images", "seg_train_annotations/out/1"])
def test_nothing_is_written_among_the_data(dataset_folder, tmp_path, inside):
    dataset = read_dataset(dataset_folder)
    link = tmp_path / "link"
    link.symlink_to(dataset_folder)
    for root in (dataset_folder, link):
        with pytest.raises(ConfigError, match=f"^--out {root / inside} is a folder of the data set itself"):
            dataset.require_outside("--out", root / inside)


def test_folders_beside_images_and_masks_may_be_written(dataset_folder):
    """As where one works in the folder of the data: --data . --out runs/1."""
    dataset = read_dataset(dataset_folder)
    for folder in (dataset_folder / "runs" / "1", dataset_folder.parent, dataset_folder.parent / "out"):
        dataset.require_outside("--out", folder)


def test_a_folder_is_judged_by_the_place_where_it_is_written(dataset_folder, monkeypatch):
    """A shell has put a home in place of ~ where it means one; what is left is the name of a folder."""
    monkeypatch.setenv("HOME", str(dataset_folder / "seg_train_images"))
    for name in ("~/out", "~nobody-of-this-name/out"):
        read_dataset(dataset_folder).require_outside("--out", Path(name))
