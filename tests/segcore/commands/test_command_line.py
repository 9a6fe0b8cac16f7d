"""The commands as a user types them, in processes of their own, which share their imports."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segcore.__main__ import main
from segcore.data.classes import ClassTable, class_table_to_json
from segcore.data.dataset import decode_case, read_dataset
from segcore.data.decoding import decode_rgb
from segcore.data.dividing.split import read_folds
from segcore.machine import Machine
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble_files import load_ensemble, save_ensemble
from segcore.scoring.mask_files import read_masks, save_mask, write_mask_notes
from tests.conftest import save_case
from tests.preloaded import Preloaded, run_preloaded

ROOT = Path(__file__).parents[3]
TRAINING = ("backbone=tf_efficientnet_lite0", "decoder_channels=16", "batch_size=2", "epochs=4", "learning_rate=0.01")


def run(*arguments):
    done = run_preloaded("segcore", *arguments, timeout=300)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def train_arguments(data, out, cache):
    settings = [word for value in TRAINING for word in ("--set", value)]
    return ["train", data, "--out", out, "--cache", cache, "--folds", 2, "--cpus", 1, *settings]


@pytest.fixture(scope="module")
def trained(dataset_folder, tmp_path_factory):
    """A training that was killed after its first epoch and started again, and its second output."""
    place = tmp_path_factory.mktemp("trained")
    arguments = train_arguments(dataset_folder, place / "out", place / "cache")
    first = Preloaded("segcore", *arguments)
    while not (place / "out" / "state.pt").exists() and first.poll() is None:
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    code, out, _ = run(*arguments)
    assert code == 0
    return place / "out", out


def test_killed_training_goes_on_after_its_last_epoch(trained):
    folder, out = trained
    assert "going on after epoch" in out
    notes = json.loads((folder / "model" / "ensemble.json").read_text())["notes"]
    assert len(notes["scores"]) == 4
    assert "epoch 1:" not in out and "epoch 4:" in out


def test_training_for_another_objective_tells_it_and_goes_on_for_no_other(dataset_folder, tmp_path):
    arguments = [*train_arguments(dataset_folder, tmp_path / "out", tmp_path / "cache"), "--set", "input_mode=full"]
    arguments[arguments.index("epochs=4")] = "epochs=1"
    code, out, err = run(*arguments, "--objective", "iou/car")
    assert code == 0, err
    assert "iou/car 0." in out
    notes = json.loads((tmp_path / "out" / "model" / "ensemble.json").read_text())["notes"]
    assert (notes["metric"], len(notes["scores"])) == ("iou/car", 1)
    code, _, err = run(*arguments)
    assert (code, "use --objective iou/car" in " ".join(err.split())) == (2, True)
    code, _, err = run(*arguments, "--objective", "miou", "--set", "labels=scored")
    assert (code, "use --set labels=full" in " ".join(err.split())) == (2, True)


def test_finished_training_that_is_started_again_leaves_its_model_alone(trained, dataset_folder):
    model = trained[0] / "model"
    document = json.loads((model / "ensemble.json").read_text())
    document["predict"]["flip"] = True
    (model / "ensemble.json").write_text(json.dumps(document))
    (model / "tune_predict.csv").write_text("way")
    arguments = train_arguments(dataset_folder, trained[0], trained[0].parent / "cache")
    code, out, _ = run(*arguments)
    assert code == 0
    assert "nothing was left to train; the model stays as it is" in out
    assert json.loads((model / "ensemble.json").read_text()) == document
    assert (model / "tune_predict.csv").read_text() == "way"
    # An older model than the training is none of it.
    document["notes"]["scores"].pop()
    (model / "ensemble.json").write_text(json.dumps(document))
    assert "stays as it is" not in run(*arguments)[1]
    assert len(json.loads((model / "ensemble.json").read_text())["notes"]["scores"]) == 4


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--set", "loss=jaccard"), "another configuration (loss differ)"),
        (("--objective", "miou"), "judged its epochs by"),
    ],
)
def test_folder_of_another_training_is_refused_before_anything_is_decoded(
    trained, dataset_folder, tmp_path, given, told
):
    code, _, err = run(*train_arguments(dataset_folder, trained[0], tmp_path / "cache"), *given)
    assert (code, told in err) == (2, True)
    assert not (tmp_path / "cache").exists()


def test_predict_says_that_its_folder_is_a_file(trained, dataset_folder, tmp_path):
    (tmp_path / "afile").write_text("mine")
    code, _, err = run("predict", trained[0] / "model", dataset_folder / "seg_train_images", tmp_path / "afile")
    assert code == 2
    assert "cannot be written to as a folder" in err


def test_predict_submit_and_score_fit_together(trained, dataset_folder, tmp_path):
    model = trained[0] / "model"
    code, _, _ = run("predict", model, dataset_folder / "seg_train_images", tmp_path / "out", "--cpus", 1)
    assert code == 0
    assert len(list((tmp_path / "out" / "masks").glob("*.png"))) == 12
    assert not (tmp_path / "out" / "overlays").exists()
    assert run("submit", tmp_path / "out" / "masks", tmp_path / "s.json", "--data", dataset_folder)[0] == 0
    lines = {}
    for masks in (tmp_path / "out" / "masks", tmp_path / "s.json"):
        code, out, _ = run("score", dataset_folder, masks)
        assert code == 0
        (lines[masks],) = [line.split()[1] for line in out.splitlines() if line.split()[:1] == ["iou"]]
    assert len(set(lines.values())) == 1


def test_masks_are_neither_scored_nor_submitted_by_classes_that_they_were_not_written_with(
    make_dataset, classes, tmp_path
):
    data, masks = make_dataset(), tmp_path / "masks"
    masks.mkdir()
    write_mask_notes(masks, [tmp_path / "train_0000.jpg"], classes)
    save_mask(decode_case(read_dataset(data).cases[0]).mask_HW, masks / "train_0000.png", classes)
    document = class_table_to_json(classes)
    entries = document["classes"]
    (data / "classes.json").write_text(
        json.dumps({**document, "classes": [*entries, {"name": "tram", "rgb": [7, 7, 7]}]})
    )
    code, out, _ = run("score", data, masks)
    assert code == 0 and "1 class of the data is none that the masks could hold: " in out
    for entry, name in zip(entries, ("car", "road", "person", "sky"), strict=True):
        entry["name"] = name
    (data / "classes.json").write_text(json.dumps(document))
    for arguments in (("score", data, masks), ("submit", masks, tmp_path / "s.json", "--data", data)):
        code, _, err = run(*arguments)
        assert (code, "(128, 64, 128) is 'road' in the masks and 'car' in the data" in err) == (2, True)


def test_overlays_are_drawn_where_they_are_wanted(trained, dataset_folder, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    shutil.copy(dataset_folder / "seg_train_images" / "train_0000.jpg", images)
    code, out, _ = run("predict", trained[0] / "model", images, tmp_path / "out", "--overlays", "--cpus", 1)
    assert (code, f"1 image: {tmp_path}/out/masks, {tmp_path}/out/overlays" in out) == (0, True)
    assert [file.name for file in (tmp_path / "out" / "overlays").iterdir()] == ["train_0000.png"]


def score_both_ways(data, masks, submission):
    """Return what `score` prints for masks and for the submission that `submit` makes of them."""
    code, out, err = run("submit", masks, submission)
    assert (code, "nobody named" in out) == (0, False), out + err
    printed = []
    for finished in (masks, submission):
        code, out, err = run("score", data, finished)
        assert code == 0, err
        assert "no mask" not in out and "no image" not in out
        printed.append(out)
    return printed


def read_metric(out, name):
    return next(line.split()[1] for line in out.splitlines() if line.split()[:1] == [name])


def test_images_of_any_suffix_and_spelling_are_predicted_submitted_and_scored(trained, make_dataset, tmp_path):
    data = make_dataset(*[(32, 48)] * 4)
    images = data / "seg_train_images"
    for name, suffix in (("train_0000", ".png"), ("train_0001", ".TIF"), ("train_0002", ".jpeg")):
        Image.open(images / f"{name}.jpg").save(images / f"{name}{suffix}")
        (images / f"{name}.jpg").unlink()
    for file in (*images.glob("*_0003*"), *(data / "seg_train_annotations").glob("*_0003*")):
        file.rename(file.with_name(f"cafe\u0301{file.suffix}"))
    assert run("predict", trained[0] / "model", images, tmp_path / "out", "--cpus", 1)[0] == 0
    by_masks, by_submission = score_both_ways(data, tmp_path / "out" / "masks", tmp_path / "s.json")
    assert read_metric(by_masks, "iou") == read_metric(by_submission, "iou")
    names = ["cafe\u0301.jpg", "train_0000.png", "train_0001.TIF", "train_0002.jpeg"]
    assert list(json.loads((tmp_path / "s.json").read_text())) == names


def test_masks_that_predict_did_not_write_are_submitted_by_their_images(trained, make_dataset, tmp_path):
    data = make_dataset((32, 48), (32, 48))
    images, masks = data / "seg_train_images", data / "seg_train_annotations"
    Image.open(images / "train_0000.jpg").save(images / "train_0000.png")
    (images / "train_0000.jpg").unlink()
    code, out, _ = run("submit", masks, tmp_path / "s.json", "--data", data)
    assert code == 0 and "2 masks are of images that nobody named, train_0000 first" in out
    code, out, _ = run("submit", masks, tmp_path / "s.json", "--data", data, "--images", images)
    assert code == 0 and "nobody named" not in out
    assert list(json.loads((tmp_path / "s.json").read_text())) == ["train_0000.png", "train_0001.jpg"]


@pytest.mark.parametrize("ids", [(), (7, 255, 11, 33)])
def test_network_of_the_scored_classes_is_scored_right_where_black_is_a_class(make_config, tmp_path, ids):
    # The scored class is black, as pictures show background elsewhere.
    colours = ((9, 9, 9), (0, 0, 0), (1, 2, 3), (4, 5, 6))
    table = ClassTable(names=("a", "b", "c", "d"), colours=colours, scored=("b",), ids=ids)
    data = tmp_path / "data"
    for number in range(2):
        save_case(data, f"x{number}", size=(32, 48), seed=number)
        mask_HW = np.random.default_rng(number).integers(0, 4, (32, 48)).astype(np.uint8)
        save_mask(mask_HW, data / "seg_train_annotations" / f"x{number}.png", table)
    (data / "classes.json").write_text(json.dumps(class_table_to_json(table)))
    config = make_config(labels="scored")
    torch.manual_seed(0)
    weights = build_architecture(config, 2).state_dict()
    save_ensemble(tmp_path / "m", iter([weights]), config=config, classes=table, notes={})
    assert run("predict", tmp_path / "m", data / "seg_train_images", tmp_path / "out", "--cpus", 1)[0] == 0
    ensemble = load_ensemble(tmp_path / "m", Machine())
    for name, mask_HW in read_masks(tmp_path / "out" / "masks", table):
        expected_HW = ensemble.predict(decode_rgb(data / "seg_train_images" / f"{name}.jpg"))
        assert 0 < (expected_HW == 1).mean() < 1
        np.testing.assert_array_equal(mask_HW, expected_HW)
    by_masks, by_submission = score_both_ways(data, tmp_path / "out" / "masks", tmp_path / "s.json")
    assert read_metric(by_masks, "iou") == read_metric(by_submission, "iou")
    assert "no miou: the masks hold background" in by_masks and "\n miou " not in by_masks


def test_predict_goes_on_past_bad_files_lists_them_and_ends_with_1(trained, dataset_folder, tmp_path):
    images = tmp_path / "in"
    images.mkdir()
    for number in range(4):
        shutil.copy(dataset_folder / "seg_train_images" / f"train_000{number}.jpg", images)
    (images / "train_0001.jpg").write_bytes((images / "train_0001.jpg").read_bytes()[:600])
    os.mkfifo(images / "pipe.png")
    (images / "._train_0000.jpg").write_bytes(b"Mac OS X")
    (images / "film.gif").write_bytes(b"GIF89a")
    code, out, err = run("predict", trained[0] / "model", images, tmp_path / "out", "--cpus", 1)
    assert code == 1
    assert "1 file is not read (.gif: 1)" in out and "3 images: " in out
    assert "2 of 5 images cannot be read, and were left out:" in err
    assert "- pipe.png: is no regular file" in err and "- train_0001.jpg: cannot be decoded" in err
    assert sorted(file.name for file in (tmp_path / "out" / "masks").glob("*.png")) == [
        f"train_000{number}.png" for number in (0, 2, 3)
    ]


def test_check_counts_files_that_are_not_read(make_dataset):
    folder = make_dataset(*[(32, 48)] * 4)
    (folder / "seg_train_images" / "a.heic").write_bytes(b"")
    code, out, _ = run("check", folder, "--folds", 2)
    assert code == 0
    assert "1 file is not read (.heic: 1); images end with .jpg" in out


def test_check_of_a_broken_folder_lists_everything_and_ends_with_2(make_dataset):
    folder = make_dataset(*[(32, 48)] * 4)
    (folder / "seg_train_annotations" / "train_0000.png").unlink()
    (folder / "seg_train_annotations" / "train_0001.json").write_text("{}")
    code, out, err = run("check", folder, "--folds", 2)
    assert code == 2
    assert "2 usable cases" in out
    assert "train_0000.png: missing" in err and "train_0001.json: 'attributes' is missing" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "{data}", "--out", "{tmp}/x", "--set", "crop_size=9"], "crop_size='9': input should be greater"),
        (["predict", "{data}", "{data}/seg_train_images", "{tmp}/x"], "is no model directory"),
        (["train", "{data}", "--out", "{data}/classes.json", "--folds", "2"], "cannot be written to as a folder"),
        (["submit", "{tmp}", "{tmp}/x.json"], "has no PNG mask"),
        (["check", "{data}", "--layout", "cityscape"], "--layout 'cityscape': use described, contest, "),
        (["check", "{data}", "--layout", "pairs"], "has not the layout pairs: images/ and masks/"),
        (["score", "{data}", "{tmp}/nothing"], "is neither a folder of masks nor a submission file"),
    ],
)
def test_mistake_ends_with_a_message(dataset_folder, tmp_path, arguments, message):
    code, _, err = run(*(word.format(data=dataset_folder, tmp=tmp_path) for word in arguments))
    assert code == 2
    assert message in err


def test_layout_that_is_named_is_read_where_another_would_be_recognised(two_layouts, tmp_path):
    (two_layouts / "images" / "notes.txt").write_text("")
    code, out, _ = run("check", two_layouts, "--folds", 2, "--layout", "pairs")
    assert code == 0
    assert "images: 1 file is not read (.txt: 1)" in out
    arguments = train_arguments(two_layouts, tmp_path / "out", tmp_path / "cache")
    code, _, err = run(*arguments, "--layout", "pairs")
    assert code == 0, err
    model = tmp_path / "out" / "model"
    assert set(read_folds(model / "folds.json").fold_of) == {f"pair_{number}" for number in range(4)}
    code, _, err = run("errors", model, two_layouts, tmp_path / "errors.html", "--layout", "pairs")
    assert code == 0, err


def test_names_of_data_reach_the_terminal_as_they_are_and_escapes_never(make_dataset):
    folder = make_dataset()
    table = folder / "classes.json"
    table.write_text(table.read_text().replace('"sky"', '"[red]sky :car:"'))
    code, out, _ = run("check", folder, "--folds", 2)
    assert code == 0
    assert "[red]sky :car:" in out
    annotation = folder / "seg_train_annotations" / "train_0000.json"
    annotation.write_text(annotation.read_text().replace('"Tokyo1"', r'"\u001b[2JTokyo1"'))
    code, out, err = run("check", folder, "--folds", 2)
    assert code == 2
    assert "\x1b" not in out + err
    assert r"route '\x1b[2JTokyo1' holds a control character; take it out" in err


@pytest.mark.parametrize("letters", [300, 5000])
def test_name_that_no_file_can_have_is_said(dataset_folder, letters):
    code, _, err = run("score", dataset_folder, "x" * letters)
    assert code == 2
    assert "File name too long" in err and "choose another file or folder" in err


def test_words_of_data_reach_a_terminal_of_ascii(make_dataset, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    folder = make_dataset()
    table = folder / "classes.json"
    table.write_text(table.read_text().replace('"sky"', '"Fu\u00dfweg"'), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "argv", ["segcore", "check", str(folder), "--folds", "2"])
    with pytest.raises(SystemExit) as ended:
        main()
    terminal.flush()
    assert ended.value.code == 0
    assert rb"Fu\xdfweg" in terminal.buffer.getvalue()


def test_reader_that_has_seen_enough_ends_the_command_quietly():
    command = f"{sys.executable} -m segcore fields | head -1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], env=environment, text=True, capture_output=True, timeout=300)
    assert done.stderr == ""
