"""The spaces that come with the project: what they draw can be trained, on data of any size."""

import functools

import optuna
import pytest
import timm

from segcore.config import FIELD_NAMES, TrainConfig
from segcore.feeding.transforms import require_crop_fits
from segcore.networks.backbone_options import read_backbone_options
from segcore.networks.encoders import is_mix_transformer, require_backbone
from spaces import SPACES
from spaces.street import LAYERED

DRAWS = 60
# The contest's images, the project's demo streets, and some that are smaller than any crop size but one.
SIDES = (1216, 360, 96, 48)


def random_study(smallest_side: int) -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.set_user_attr("smallest_side", smallest_side)
    return study


@functools.cache
def draw_trials(name: str, smallest_side: int) -> list[tuple[dict, dict]]:
    """What a space suggests and returns, drawn at random."""
    study = random_study(smallest_side)
    drawn = []
    for _ in range(DRAWS):
        trial = study.ask()
        drawn.append((SPACES[name](trial) or {}, trial.params))
    return drawn


def draw_configs(name: str, smallest_side: int) -> list[TrainConfig]:
    drawn = draw_trials(name, smallest_side)
    return [TrainConfig.from_values({**params, **constants}) for constants, params in drawn]


def test_spaces_of_the_papers_are_there():
    assert set(SPACES) == {"street", "street_small", "street_offline", "contest", "demo"}


@pytest.mark.parametrize("name", sorted(SPACES))
def test_every_backbone_has_imagenet_weights_somewhere(name):
    for backbone in {config.backbone for config in draw_configs(name, 360)}:
        assert is_mix_transformer(backbone) or timm.get_pretrained_cfg(backbone).hf_hub_id, backbone


@pytest.mark.parametrize("name", ["street", "street_offline"])
@pytest.mark.parametrize(("side", "scales"), [(1216, {0.5, 0.75}), (360, {0.75, 1.5})])
def test_small_images_are_made_larger_and_large_ones_smaller(name, side, scales):
    assert {params["scale"] for _, params in draw_trials(name, side) if "scale" in params} == scales


def test_transformers_learn_at_smaller_rates_than_convolutions():
    drawn: dict[str, list[float]] = {}
    for _, params in draw_trials("street", 360):
        drawn.setdefault(params["backbone"], []).append(params["learning_rate"])
    assert max(drawn["vit_small_patch14_dinov2"]) <= 3e-4 <= min(drawn["resnet50d"])
    assert 6e-5 <= min(drawn["mit_b2"]) <= max(drawn["mit_b2"]) <= 1e-3


def test_street_gives_a_network_alone_what_it_can_use():
    drawn = [{**params, **constants} for constants, params in draw_trials("street", 360)]
    for found in drawn:
        layered = found["backbone"].startswith(("convnext", "pvt", "swin", "vit"))
        assert layered == ("encoder_layer_decay" in found) == ("backbone_options" in found)
        assert layered == ("encoder_rate_factor" not in found)
        assert ("auxiliary_weight" in found) == (found["decoder"] == "upernet")
    assert {0.7 < found["encoder_layer_decay"] < 0.95 for found in drawn if "encoder_layer_decay" in found} == {True}
    assert {found["loss"] for found in drawn} >= {"ce", "ce+boundary"}
    assert {found["class_mix_probability"] for found in drawn} == {0.0, 0.25}


def test_encoders_of_street_take_their_drop_path():
    for backbone in LAYERED:
        config = TrainConfig.from_values({"backbone": backbone, "backbone_options": "drop_path_rate=0.2"})
        assert read_backbone_options(config) == {"drop_path_rate": 0.2}


def test_contest_repeats_what_its_author_tried():
    configs = draw_configs("contest", 1216)
    assert {config.decoder for config in configs} == {"unet"}
    assert {config.loss for config in configs} == {"bce", "jaccard", "focal"}
    assert {config.labels for config in configs} == {"full", "scored"}
    assert {config.crop_size for config in configs if config.input_mode == "crop"} == {256, 512, 768}
    assert {config.scale for config in configs if config.input_mode == "resize"} == {0.5, 0.75}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", sorted(SPACES))
def test_names_are_fields_of_train_config_and_drawn_or_constant_but_not_both(name, side):
    for constants, params in draw_trials(name, side):
        assert set(constants) | set(params) <= set(FIELD_NAMES)
        assert not set(constants) & set(params)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", sorted(SPACES))
def test_every_draw_is_a_configuration_whose_crops_fit_the_data(name, side):
    configs = draw_configs(name, side)
    assert len(configs) == DRAWS
    for config in configs:
        require_crop_fits(side, config)
    modes = {config.input_mode for config in configs}
    assert modes == {"crop", "resize", "full"}


@pytest.mark.parametrize("name", sorted(SPACES))
def test_crop_size_is_drawn_when_cropping_alone_and_scale_when_resizing_alone(name):
    modes = []
    for _, params in draw_trials(name, 360):
        modes.append(params["input_mode"])
        assert ("crop_size" in params) == (params["input_mode"] == "crop")
        assert ("scale" in params) == (params["input_mode"] == "resize")
    assert {"crop", "resize", "full"} == set(modes)


@pytest.mark.parametrize(
    ("name", "side", "sizes"),
    [
        ("street", 1216, {256, 512, 768}),
        ("street", 768, {256, 512, 768}),
        ("street", 767, {128, 256, 512}),
        ("street", 360, {64, 128, 256}),
        ("street", 128, {64, 128}),
        ("street", 96, {64}),
        ("street", 48, {48}),
        ("demo", 360, {64, 96, 128}),
        ("demo", 128, {64, 96, 128}),
        ("demo", 127, {64, 96}),
        ("demo", 64, {64}),
    ],
)
def test_crop_sizes_on_data_of_a_size(name, side, sizes):
    drawn = {params["crop_size"] for _, params in draw_trials(name, side) if "crop_size" in params}
    assert drawn == sizes


@pytest.mark.parametrize("name", sorted(SPACES))
def test_every_backbone_exists(name):
    for backbone in {config.backbone for config in draw_configs(name, 360)}:
        require_backbone(backbone)


@pytest.mark.parametrize("name", ["demo", "street_offline"])
def test_these_spaces_need_no_model_hub(name):
    """Their ImageNet weights come with the installed packages."""
    backbones = {config.backbone for config in draw_configs(name, 360)}
    assert backbones <= {"tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2"}


@pytest.mark.parametrize("name", sorted(SPACES))
def test_rates_lie_within_their_range_and_reach_both_of_its_halves(name):
    rates = [params["learning_rate"] for _, params in draw_trials(name, 360)]
    low, high = {
        "street": (2e-5, 3e-3),
        "street_small": (3e-4, 5e-3),
        "street_offline": (3e-4, 5e-3),
        "contest": (1e-4, 3e-3),
        "demo": (1e-3, 6e-3),
    }[name]
    middle = (low * high) ** 0.5
    assert low <= min(rates) < middle < max(rates) <= high
