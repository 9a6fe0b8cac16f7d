"""The commands that take in data of other people's layouts, as a newcomer uses them."""

import errno
import json
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segcore.__main__ import app
from segcore.data.dataset import read_dataset
from segcore.errors import ConfigError, DataError, StorageError

MASK = np.array([[0, 3, 7, 255]], np.uint8).repeat(8, axis=0).repeat(8, axis=1)


def save(folder: Path, images: str = "fotos", masks: str = "wahrheit", mask: np.ndarray = MASK) -> Path:
    for part in (images, masks):
        (folder / part).mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (*mask.shape[:2], 3), dtype=np.uint8)
    for name in "ab":
        Image.fromarray(noise).save(folder / images / f"{name}.jpg")
        Image.fromarray(mask).save(folder / masks / f"{name}.png")
    return folder


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_init_counts_writes_and_says_what_is_next(tmp_path):
    out = run("init", save(tmp_path))
    assert "2 images fotos/{name}.jpg with masks wahrheit/{name}.png" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["7", "TODO_class_7", "128", "25.00%", "2"] in rows and ["255", "(void)", "128", "25.00%", "2"] in rows
    assert "name 3 classes" in out and f"python -m segcore check {tmp_path}" in out.replace("\n", "")
    assert len(read_dataset(tmp_path).cases) == 2


def test_check_does_not_count_groups_where_there_are_none(tmp_path):
    save(tmp_path, "images", "masks")
    other = np.random.default_rng(1).integers(0, 256, (8, 32, 3), dtype=np.uint8)
    Image.fromarray(other).save(tmp_path / "images/b.jpg")
    out = run("check", tmp_path, "--folds", 2)
    assert "groups: none; folders of the images" in out and "group   condition" not in out
    (tmp_path / "cases.csv").write_text("name,group\na,north\nb,south\n")
    out = run("check", tmp_path, "--folds", 2)
    assert "groups: north, south" in out and "group   condition" in out


def test_commands_that_come_next_can_be_copied_whatever_the_folder_is_called(tmp_path):
    folder = save(tmp_path / "it's [mine]")
    out = run("init", folder)
    steps = [shlex.split(line) for line in out.splitlines() if line.startswith("  python -m")]
    assert len(steps) == 3 and all(str(folder) in step for step in steps)


def test_nothing_is_described_among_what_was_unpacked(tmp_path):
    folder = save(tmp_path / "fetched" / ("0" * 32) / "streets")
    with pytest.raises(DataError, match="unpack or copy the data into a folder of your own"):
        run("init", folder)
    assert not (folder / "dataset.json").exists()


def test_init_takes_patterns_that_are_given(tmp_path):
    save(tmp_path, "x", "y")
    run("init", tmp_path, "--images", "x/{name}.*", "--masks", "y/{name}.png")
    assert json.loads((tmp_path / "dataset.json").read_text(encoding="utf-8"))["images"] == "x/{name}.*"
    with pytest.raises(ConfigError, match=r"--masks '\.\./{name}\.png'"):
        run("init", tmp_path, "--force", "--images", "x/{name}.*", "--masks", "../{name}.png")
    with pytest.raises(ConfigError, match="belong together"):
        run("init", tmp_path, "--force", "--images", "x/{name}.*")


def test_init_writes_over_nothing_without_being_told_to(tmp_path):
    (save(tmp_path) / "dataset.json").write_text("mine", encoding="utf-8")
    with pytest.raises(StorageError, match="is there already; edit it, or write a new one with --force"):
        run("init", tmp_path)
    assert (tmp_path / "dataset.json").read_text(encoding="utf-8") == "mine"
    run("init", tmp_path, "--force")
    assert "TODO_class_7" in (tmp_path / "dataset.json").read_text(encoding="utf-8")


def test_init_leaves_the_description_of_another_program_even_when_told_to_write(tmp_path):
    file = save(tmp_path, "imagesTr", "labelsTr") / "dataset.json"
    file.write_text('{"channel_names": {"0": "R"}, "labels": {"background": 0}}', encoding="utf-8")
    with pytest.raises(DataError, match=r"is another program's: it has 'channel_names', 'labels'") as refused:
        run("init", tmp_path, "--force")
    assert "channel_names" in file.read_text(encoding="utf-8")
    (tmp_path / "below").mkdir()
    told = re.search("'(mkdir .*)';", str(refused.value))
    assert told
    subprocess.run(["sh", "-c", told[1]], check=True, cwd=tmp_path / "below")
    run("init", tmp_path / "below/NEW", "--images", "imagesTr/{name}.jpg", "--masks", "labelsTr/{name}.png")
    assert len(read_dataset(tmp_path / "below/NEW").cases) == 2
    assert "channel_names" in file.read_text(encoding="utf-8")


def test_init_says_of_folders_that_no_pattern_can_name_that_they_need_other_names(tmp_path):
    save(tmp_path, "photos{1}", "truth")
    with pytest.raises(DataError, match=r"photos\{1\}/\{name\}\.jpg cannot be described.*rename the folders"):
        run("init", tmp_path)


def test_init_takes_what_check_takes_of_folders_that_lie_elsewhere(tmp_path):
    save(tmp_path / "disk")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/images").symlink_to(tmp_path / "disk/fotos")
    (tmp_path / "data/masks").symlink_to(tmp_path / "disk/wahrheit")
    (tmp_path / "data/names.txt").write_text("0 road\n3 car\n7 sky\n", encoding="utf-8")
    before = read_dataset(tmp_path / "data")
    assert "written:" in run("init", tmp_path / "data")
    after = read_dataset(tmp_path / "data")
    assert (before.layout, after.layout) == ("pairs", "described")
    assert [case.name for case in before.cases] == [case.name for case in after.cases] == ["a", "b"]


def test_init_wants_a_folder(tmp_path):
    with pytest.raises(DataError, match=r"a\.zip is an archive; unpack it first, and give the folder of a data set"):
        run("init", tmp_path / "a.zip")
    with pytest.raises(DataError, match="missing is no folder; give the folder of a data set"):
        run("init", tmp_path / "missing")


def test_init_of_a_folder_that_may_not_be_written_says_so_before_it_counts(tmp_path, monkeypatch):
    refused = OSError(errno.EROFS, "Read-only file system")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: (_ for _ in ()).throw(refused))
    (tmp_path / "masks").mkdir()
    with pytest.raises(StorageError) as caught:
        CliRunner().invoke(app, ["init", str(tmp_path)], catch_exceptions=False)
    assert str(caught.value) == (
        f"{tmp_path} cannot be written (Read-only file system), where dataset.json is to lie; let this user write "
        "there, or give a copy of the folder that lies where that is allowed."
    )


def test_init_leaves_a_known_layout_alone(dataset_folder, tmp_path):
    with pytest.raises(DataError, match=r"has the layout contest .* needs no dataset\.json.* init .*--force'"):
        run("init", dataset_folder)
    with pytest.raises(DataError, match="is no folder"):
        run("init", tmp_path / "none")


def test_init_names_masks_that_were_not_made_for_classes(tmp_path):
    mask = np.zeros((128, 128), np.uint8)
    mask[64, :60] = np.arange(1, 61)
    mask[65:] = 250
    assert "soft borders: 60 of 62 values" in run("init", save(tmp_path, mask=mask))


def test_import_coco_says_what_became_of_the_objects(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        Image.new("RGB", (8, 8)).save(tmp_path / f"in/{name}.png")
    corners = [[0, 0, 8, 0, 8, 8, 0, 8]]
    objects = [{"image_id": 1, "category_id": 4, "segmentation": corners, "iscrowd": crowd} for crowd in (0, 1)]
    content = {
        "images": [{"id": place, "file_name": f"{name}.png"} for place, name in enumerate("ab", start=1)],
        "categories": [{"id": 4, "name": "tram"}],
        "annotations": objects,
    }
    (tmp_path / "ann.json").write_text(json.dumps(content), encoding="utf-8")
    arguments = ("import", "coco", tmp_path / "ann.json", tmp_path / "in", tmp_path / "out")
    with pytest.raises(ConfigError, match="--crowd 'none': use void, or class"):
        run(*arguments, "--crowd", "none")
    out = run(*arguments)
    assert ["1", "tram", "2"] in [line.split() for line in out.splitlines()]
    for line in (
        "64 pixels belong to more than one object: the smaller object has them",
        "void, below all objects: 1 area of objects not told apart (iscrowd)",
        "1 object has no pixel",
        "no object, so all background: 1 image",
    ):
        assert line in out
    assert read_dataset(tmp_path / "out").classes.names == ("background", "tram")


def save_class_masks(folder: Path, *classes: str) -> Path:
    """Each class is in its own column of 8 pixels."""
    (folder / "fotos").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for name in "ab":
        Image.fromarray(noise).save(folder / f"fotos/{name}.jpg")
        for place, called in enumerate(classes):
            mask = np.zeros((32, 32), np.uint8)
            mask[:, 8 * place : 8 * place + 8] = 255
            (folder / f"truth/{called}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(folder / f"truth/{called}/{name}.png")
    return folder


def test_masks_of_one_class_each_are_put_together_by_the_command_that_init_names(tmp_path):
    folder = save_class_masks(tmp_path / "in", "road", "car")
    (folder / "truth/car/b.png").unlink()
    told = run("init", folder)
    command = shlex.split(told.partition("put them together: ")[2].partition("\n")[0])
    assert command[2:6] == ["segcore", "import", "masks", str(folder)]
    out = run(*(str(tmp_path / "out") if part == "OUT" else part for part in command[3:]))
    rows = [line.split() for line in out.splitlines()]
    assert ["1", "car", "256", "12.50%", "1"] in rows and ["2", "road", "512", "25.00%", "2"] in rows
    assert "0 pixels belong to more than one class" in out
    assert read_dataset(tmp_path / "out").classes.names == ("background", "car", "road")


def test_masks_in_which_the_class_is_black_are_doubted(tmp_path):
    """Of four columns one is a class each, so that reversed masks share every pixel."""
    folder = save_class_masks(tmp_path / "in", "road", "car", "sky")
    for file in folder.glob("truth/*/*.png"):
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    patterns = ("--images", "fotos/{name}.jpg", "--masks", "truth/{class}/{name}.png")
    out = run("import", "masks", folder, tmp_path / "out", *patterns)
    assert "2,048 pixels belong to more than one class" in out and "these are most of all pixels" in out


def test_patterns_of_class_masks_are_checked_first(tmp_path):
    folder = save_class_masks(tmp_path / "in", "road")
    with pytest.raises(ConfigError, match=r"lacks \{class\}"):
        run("import", "masks", folder, tmp_path / "out", "--images", "fotos/{name}.jpg", "--masks", "truth/{name}.png")
    with pytest.raises(DataError, match="is no folder"):
        run("import", "masks", tmp_path / "x", tmp_path / "out", "--images", "{name}.jpg", "--masks", "{class}/{name}")


def test_import_masks_says_that_classes_with_numbers_may_be_objects(tmp_path):
    folder = save(tmp_path / "in", "images", "masks")
    for name in "ab":
        (folder / f"masks/{name}.png").unlink()
        for number in range(2):
            Image.fromarray(np.eye(8, 32, dtype=np.uint8)).save(folder / f"masks/{name}_car_{number}.png")
    options = ("--images", "images/{name}.jpg", "--masks")
    out = run("import", "masks", folder, tmp_path / "out", *options, "masks/{name}_{class}.png")
    assert "classes that differ in a number: car_0, car_1; if it tells objects of a class apart, write *" in out
    out = run("import", "masks", folder, tmp_path / "other", *options, "masks/{name}_{class}_*.png")
    assert "differ in a number" not in out
