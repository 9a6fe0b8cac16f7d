import ast

import pytest

from search.settings import build_settings
from search.space.auto import (
    Fingerprint,
    choose_backbones,
    choose_batch,
    choose_crops,
    choose_epochs,
    choose_scales,
    write_space,
)
from search.space.check import require_usable_space
from search.space.load import load_space
from segcore.feeding.transforms import require_crop_fits
from segcore.networks.encoders import require_backbone


def fingerprint(**changes):
    street = {
        "name": "streets",
        "images": 468,
        "usual_side": 360,
        "median_size": (360, 480),
        "shares": {"road": 0.6, "car": 0.3, "pedestrian": 0.005, "signal": 0.0, "sky": 0.095},
        "scored": ("car", "pedestrian", "signal"),
        "device_gib": 24.0,
    }
    return Fingerprint(**{**street, **changes})


# (24 - 2) GiB of 6000 bytes a pixel hold 3,937,053 pixels, (80 - 2) hold 13,958,643, 2 GiB beside the rest 357,913.
@pytest.mark.parametrize(
    ("side", "device_gib", "crops", "batches"),
    [
        (360, 24.0, (256, 128), (16, 16)),
        (1216, 24.0, (768, 512), (4, 8)),
        (1216, 80.0, (1024, 768), (8, 16)),
        (1216, 0.0, (256, 128), (4, 16)),
        (48, 24.0, (48,), (16,)),
        (100, 0.0, (64,), (16,)),
    ],
)
def test_crops_are_the_largest_that_a_batch_of_four_fits(side, device_gib, crops, batches):
    found = fingerprint(usual_side=side, device_gib=device_gib)
    assert choose_crops(found) == crops
    assert tuple(choose_batch(size, found) for size in crops) == batches


def test_crop_is_no_larger_than_what_fits_even_where_nothing_fits_four():
    # A batch of two of the smallest crop is tried all the same; one that does not fit is divided by the training.
    found = fingerprint(usual_side=1216, device_gib=2.5)
    assert choose_crops(found) == (128, 64)
    assert choose_batch(1024, found) == 2


def test_small_images_are_enlarged_where_two_enlarged_ones_fit():
    assert choose_scales(fingerprint()) == (0.75, 1.5)
    # Two enlarged ones have 2 x 2.25 x 172,800 pixels, 777,600; of the CPU's 2 GiB 357,913 are held.
    assert choose_scales(fingerprint(device_gib=0.0)) == (0.5, 0.75)
    assert choose_scales(fingerprint(usual_side=512)) == (0.5, 0.75)


def test_more_memory_and_more_images_allow_larger_networks():
    assert "mit_b0" in choose_backbones(fingerprint(device_gib=6.0))
    assert "mit_b2" in choose_backbones(fingerprint(device_gib=24.0))
    assert "mit_b4" in choose_backbones(fingerprint(device_gib=80.0))
    assert "mit_b4" not in choose_backbones(fingerprint(device_gib=80.0, images=100))


def test_networks_without_their_weights_give_way_to_those_that_come_with_the_installation():
    lacking = ("resnet18d", "mobilenetv4_conv_medium", "mit_b0")
    assert choose_backbones(fingerprint(device_gib=0.0, lacking=lacking)) == (
        "tf_efficientnet_lite0",
        "tf_efficientnet_lite2",
    )
    assert choose_backbones(fingerprint(device_gib=24.0, lacking=("mit_b2", "pvt_v2_b2"))) == (
        "tf_efficientnet_lite0",
        "tf_efficientnet_lite2",
        "resnet50d",
        "convnextv2_tiny",
    )
    assert choose_backbones(fingerprint(device_gib=80.0, lacking=lacking)) == choose_backbones(
        fingerprint(device_gib=80.0)
    )


def test_epochs_come_near_to_twenty_thousand_steps():
    # 2243 images of 9 crops of 512 in batches of 8: 2,523 steps an epoch, so 8 epochs would do; 12 are the fewest.
    assert choose_epochs(fingerprint(images=2243, usual_side=600, median_size=(1216, 1936))) == 12
    # 468 images of 3 crops of 256 in batches of 16: 87 steps, 230 epochs would do; 108 are the most.
    assert choose_epochs(fingerprint()) == 108
    # 1400 images of 5 crops of 256 in batches of 16: 437 steps, 46 epochs.
    assert choose_epochs(fingerprint(images=1400, usual_side=300, median_size=(512, 640))) == 54


@pytest.mark.parametrize(
    "found",
    [
        fingerprint(),
        fingerprint(usual_side=1216, median_size=(1216, 1936), device_gib=80.0, name='it\'s "a" $folder\\'),
        fingerprint(images=40, device_gib=0.0, shares={"road": 1.0}, scored=()),
    ],
)
def test_written_file_is_a_space_whose_draws_can_be_trained(found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"auto_space_{abs(hash(found.name + str(found.images))) % 10**8}"
    (tmp_path / f"{name}.py").write_text(write_space(found))
    space = load_space(f"{name}:auto")
    settings = build_settings({"name": "auto", "epochs": choose_epochs(found)})
    configs = []

    def look(config):
        require_crop_fits(found.usual_side, config)
        require_backbone(config.backbone)
        configs.append(config)

    require_usable_space(space, settings, {"smallest_side": found.usual_side}, look)
    assert {config.crop_size for config in configs if config.input_mode == "crop"} == set(choose_crops(found))
    assert {config.class_weights for config in configs} == ({"none", "balanced"} if found.rare else {"none"})


def test_rare_are_scored_classes_that_there_are():
    assert fingerprint().rare == ("pedestrian",)


@pytest.mark.parametrize("quote", ["'''", '"""', "\\", "\n", "\\'''", "'" * 4])
@pytest.mark.parametrize("where", ["data", "class"])
def test_names_of_data_are_words_of_the_file_and_never_its_code(quote, where):
    name = f"{quote} ; raise SystemExit ; {quote}"
    changes = {"name": name} if where == "data" else {"shares": {name: 0.001, "road": 0.999}, "scored": (name,)}
    written = ast.parse(write_space(fingerprint(**changes)))
    assert [type(part) for part in written.body] == [type(part) for part in ast.parse(write_space(fingerprint())).body]
    assert name in ast.get_docstring(written, clean=False)


def test_names_in_other_letters_stay_readable():
    assert "rare_é車" in write_space(fingerprint(shares={"rare_é車": 0.001}, scored=("rare_é車",)))
