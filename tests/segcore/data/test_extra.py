import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segcore.__main__ import app
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import open_cache
from segcore.data.dataset import read_dataset
from segcore.data.dividing.folds import make_folds
from segcore.data.extra import prepare_caches, read_extra
from segcore.data.labels import build_label_map
from segcore.errors import CheckpointError, DataError
from segcore.feeding.balance import count_output_pixels
from segcore.feeding.samples import TrainingSamples
from segcore.machine import Machine
from segcore.training.state import new_state
from segcore.training.train import train_epochs


@pytest.fixture
def real(make_dataset):
    return read_dataset(make_dataset(*[(32, 48)] * 4))


@pytest.fixture
def extra_folder(make_dataset):
    folder = make_dataset(*[(40, 56)] * 7, name="extra")
    for number in range(4):
        _rename(folder, f"train_{number:04}", f"other_{number:04}")
    return folder


def _rename(folder, old, new):
    for place in ("seg_train_images/{}.jpg", "seg_train_annotations/{}.png", "seg_train_annotations/{}.json"):
        (folder / place.format(old)).rename(folder / place.format(new))


def _edit_classes(folder, change):
    file = folder / "classes.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def test_extra_cases_follow_the_real_ones_with_their_own_pixels(real, extra_folder, tmp_path):
    extra = read_extra(real, [extra_folder])
    joined = prepare_caches(real, extra, tmp_path / "cache")
    alone = prepare_caches(real, (), tmp_path / "cache")
    other = open_cache(tmp_path / "cache", prepare_cache(extra[0], tmp_path / "cache").name)
    assert (len(alone), len(joined)) == (4, 11)
    assert joined.extra_names == tuple(case.name for case in extra[0].cases)
    assert alone.extra_names == ()
    assert joined.names == (*alone.names, *other.names)
    for index in range(11):
        part, position = (alone, index) if index < 4 else (other, index - 4)
        np.testing.assert_array_equal(joined.image_HW3(index), part.image_HW3(position))
        np.testing.assert_array_equal(joined.mask_HW(index), part.mask_HW(position))
        assert joined.cases[index] == part.cases[position]


@pytest.mark.parametrize("known", ["train_0003", f"train_0003_jpg.rf.{'0a' * 16}"])
def test_extra_images_that_were_made_of_real_ones_are_refused_by_their_names(known, make_dataset, extra_folder):
    """Roboflow turns, cuts and colours images, and only their names say what they were made of."""
    folder = make_dataset(*[(32, 48)] * 4)
    if known != "train_0003":
        _rename(folder, "train_0003", known)
    made = f"train_0003_jpg.rf.{'1b' * 16}"
    _rename(extra_folder, "other_0002", made)
    with pytest.raises(DataError, match=rf"1 extra image was made of one of .*data.*:\n.*{made}: of what {known} is"):
        read_extra(read_dataset(folder), [extra_folder])


def test_joined_caches_open_again_by_their_key_and_in_other_processes(real, extra_folder, tmp_path):
    joined = prepare_caches(real, read_extra(real, [extra_folder]), tmp_path / "cache")
    assert joined.key == f"{joined.folder.name}+{joined.extra[0].name}"
    for copy in (open_cache(tmp_path / "cache", joined.key), pickle.loads(pickle.dumps(joined))):
        assert copy.key == joined.key
        assert copy.extra_names == joined.extra_names
        np.testing.assert_array_equal(copy.image_HW3(10), joined.image_HW3(10))
    shutil.rmtree(joined.extra[0])
    with pytest.raises(CheckpointError, match=joined.extra[0].name):
        open_cache(tmp_path / "cache", joined.key)


def test_several_extra_data_sets_join_in_the_given_order(real, extra_folder, make_dataset, tmp_path):
    third = make_dataset((24, 40), name="third")
    _rename(third, "train_0000", "third_0000")
    joined = prepare_caches(real, read_extra(real, [third, extra_folder]), tmp_path / "cache")
    assert joined.extra_names[:2] == ("third_0000", "other_0000")
    assert len(joined) == 4 + 1 + 7
    assert min(joined.cases[4].height, joined.cases[4].width) == 24


def test_folds_of_the_real_data_are_the_same_with_and_without_extra(real, extra_folder, tmp_path):
    split = make_folds(real.cases, 2)
    alone = prepare_caches(real, (), tmp_path / "cache")
    joined = prepare_caches(real, read_extra(real, [extra_folder]), tmp_path / "cache")
    for fold in range(2):
        train_alone, valid_alone = split.split(alone.names, fold)
        train, valid = split.split(joined.names, fold, joined.extra_names)
        assert valid == valid_alone
        assert train == [*train_alone, *range(4, 11)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document["classes"][0].update(name="way"), "names: "),
        (lambda document: document["classes"][1].update(rgb=[1, 2, 3]), "colours: "),
        (lambda document: document.update(scored=["car"]), r"scored: \['car', 'person'\] there, \['car'\] here"),
        (lambda document: document["classes"].pop(), "names: "),
    ],
)
def test_other_classes_are_refused_by_what_differs(real, extra_folder, change, said):
    _edit_classes(extra_folder, change)
    with pytest.raises(DataError, match=said):
        read_extra(real, [extra_folder])


def test_void_colours_may_differ_and_are_void_all_the_same(real, extra_folder, tmp_path):
    _edit_classes(extra_folder, lambda document: document["void"].append([9, 9, 9]))
    (extra,) = read_extra(real, [extra_folder])
    assert extra.classes == replace(real.classes, void=((0, 0, 0), (9, 9, 9)))
    joined = prepare_caches(real, (extra,), tmp_path / "cache")
    assert (joined.mask_HW(10)[-4:, :4] == 255).all()
    assert joined.classes == real.classes


def test_names_of_the_real_data_are_refused(real, extra_folder):
    _rename(extra_folder, "other_0002", "train_0002")
    with pytest.raises(DataError, match=r"1 name occurs twice(?s:.*)train_0002: also in .*data"):
        read_extra(real, [extra_folder])


def test_names_of_another_extra_data_set_are_refused(real, extra_folder):
    with pytest.raises(DataError, match="7 names occur twice"):
        read_extra(real, [extra_folder, extra_folder])


def test_images_of_the_real_data_are_refused_under_any_name(real, extra_folder, tmp_path):
    shutil.copy(real.cases[1].image, extra_folder / "seg_train_images" / "other_0000.jpg")
    shutil.copy(real.cases[1].mask, extra_folder / "seg_train_annotations" / "other_0000.png")
    extra = read_extra(real, [extra_folder])
    with pytest.raises(DataError, match=r"1 extra image (?s:.*)other_0000: the same picture as train_0001"):
        prepare_caches(real, extra, tmp_path / "cache")


@pytest.mark.parametrize("change", ["mirrored", "resized", "compressed anew"])
def test_pictures_of_the_real_data_are_refused_whatever_was_done_to_them(make_dataset, extra_folder, tmp_path, change):
    """A pseudo label of such a copy would be trained on in the fold that validates the original."""
    real = read_dataset(make_dataset(*[(128, 192)] * 4, name="large"))
    picture = Image.open(real.cases[2].image)
    if change == "mirrored":
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture = picture.resize((96, 64) if change == "resized" else picture.size)
    Image.new("RGB", picture.size, (0, 0, 255)).save(extra_folder / "seg_train_annotations" / "other_0003.png")
    picture.save(extra_folder / "seg_train_images" / "other_0003.jpg", quality=70)
    extra = read_extra(real, [extra_folder])
    with pytest.raises(DataError, match=r"1 extra image (?s:.*)other_0003: the same picture as train_0002"):
        prepare_caches(real, extra, tmp_path / "cache")


def test_a_real_image_in_other_colours_is_refused_by_its_mask(real, extra_folder, tmp_path):
    with Image.open(real.cases[2].image) as picture:
        levels_HW3 = np.asarray(picture.convert("RGB").resize((48, 32)), np.float64)
    noise_HW3 = np.random.default_rng(0).normal(0, 0.25 * levels_HW3.std(), levels_HW3.shape)
    changed_HW3 = np.clip(levels_HW3 + noise_HW3, 0, 255).astype(np.uint8)
    Image.fromarray(changed_HW3).save(extra_folder / "seg_train_images" / "other_0003.jpg", quality=95)
    shutil.copy(real.cases[2].mask, extra_folder / "seg_train_annotations" / "other_0003.png")
    with pytest.raises(DataError, match=r"1 extra image (?s:.*)other_0003: the same picture as train_0002"):
        prepare_caches(real, read_extra(real, [extra_folder]), tmp_path / "cache")


def test_extra_cases_are_trained_on_and_counted_but_only_real_ones_are_scored(
    real, extra_folder, make_config, tmp_path
):
    joined = prepare_caches(real, read_extra(real, [extra_folder]), tmp_path / "cache")
    config = make_config(input_mode="full", epochs=1, batch_size=3, rare_crop_probability=1.0)
    split = make_folds(real.cases, 2)
    train, valid = split.split(joined.names, 0, joined.extra_names)
    labels = build_label_map(real.classes, "full")
    samples = TrainingSamples(joined, train, config, labels.target_of_class)
    assert len(samples) == len(train) == 2 + 7
    assert (
        sorted(samples[0, position].image_HW3.shape for position in range(9)) == [(32, 48, 3)] * 2 + [(40, 56, 3)] * 7
    )
    counted = count_output_pixels(joined, train, labels)
    expected = sum(np.bincount(joined.mask_HW(index).ravel(), minlength=256) for index in train)
    assert counted.tolist() == expected[:4].tolist()
    state = new_state(config, labels.outputs, Machine())
    (result,) = train_epochs(state, joined, train, valid, Machine())
    assert [score.name for score in result.scores] == [name for name in joined.names if split.fold_of.get(name) == 0]


def test_command_trains_beside_extra_data_and_refuses_to_go_on_without_it(real, extra_folder, tmp_path):
    settings = ["backbone=test_efficientnet", "weights=none", "decoder_channels=16", "epochs=1", "batch_size=4"]
    arguments = ["train", str(real.folder), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    arguments += [
        "--folds",
        "2",
        "--device",
        "cpu",
        "--cpus",
        "1",
        *(word for it in settings for word in ("--set", it)),
    ]
    extra = ["--extra", str(extra_folder)]
    result = CliRunner().invoke(app, [*arguments, *extra])
    assert result.exit_code == 0, result.exception
    assert "7 of 9 cases to train on are extra" in result.output
    notes = json.loads((tmp_path / "out" / "model" / "ensemble.json").read_text())["notes"]
    assert notes["extra"] == [case.name for case in read_dataset(extra_folder).cases]
    for changed in (arguments, [*arguments, *extra, "--fold", "1"]):
        result = CliRunner().invoke(app, changed)
        assert isinstance(result.exception, CheckpointError)
        assert "trained on other data" in str(result.exception)
    assert CliRunner().invoke(app, [*arguments, *extra]).exit_code == 0


def test_an_extra_image_that_many_real_ones_equal_is_told_once(make_dataset, tmp_path):
    real, extra = make_dataset(*[(32, 48)] * 4), make_dataset(*[(32, 48)] * 3, name="extra")
    for number in range(3):
        _rename(extra, f"train_{number:04}", f"other_{number:04}")
    for folder in (real, extra):
        for file in (folder / "seg_train_images").iterdir():
            Image.new("RGB", (48, 32)).save(file, format="PNG")
    dataset = read_dataset(real)
    with pytest.raises(DataError, match="3 extra images show pictures of the real data") as refused:
        prepare_caches(dataset, read_extra(dataset, [extra]), tmp_path / "cache")
    assert refused.value.problems[0] == "other_0000: the same picture as train_0000"
    assert len(refused.value.problems) == 3
