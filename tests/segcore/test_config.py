import dataclasses
import math

import pytest

from segcore.config import (
    FIELD_NAMES,
    TrainConfig,
    decoder_widths,
    describe_fields,
    make_paths_whole,
    parse_assignments,
)
from segcore.errors import ConfigError


def test_values_give_the_same_configuration_back():
    config = TrainConfig.from_values({"backbone": "resnet18", "input_mode": "crop", "learning_rate": 0.02})
    assert config.values()["learning_rate"] == 0.02
    assert TrainConfig.from_values(config.values()) == config


def test_unknown_fields_are_all_named_with_their_nearest_fields():
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_values({"learning_rat": 0.1, "bakbone": "resnet18"})
    first, second = str(caught.value).splitlines()
    assert "'learning_rat'" in first and "learning_rate" in first.partition(";")[2]
    assert "'bakbone'" in second and "backbone" in second.partition(";")[2]


@pytest.mark.parametrize(("short", "field"), [("lr", "learning_rate"), ("WD", "weight_decay"), ("bs", "batch_size")])
def test_short_form_of_a_field_names_it(short, field):
    with pytest.raises(ConfigError, match=f"^'{short}' is no field of TrainConfig; did you mean {field}.*\\?$"):
        TrainConfig.from_values({short: 1})


@pytest.mark.parametrize("name", ["batch_size", "learning_rate", "seed", "weight_decay", "loss"])
def test_true_and_false_pass_for_no_number(name):
    """A space or a JSON file of `true` would train with 1."""
    with pytest.raises(ConfigError, match=f"^{name}=True: no choice is true or false; give a number or a word"):
        TrainConfig.from_values({name: True})


def test_unknown_field_like_no_other_names_the_command_that_lists_them():
    with pytest.raises(ConfigError, match=r"'zzz' is no field of TrainConfig; 'python -m segcore fields' lists them\."):
        TrainConfig.from_values({"zzz": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0), ("learning_rate", 11), ("learning_rate", math.nan), ("batch_size", 0),
        ("batch_size", 2.5), ("crop_size", 31), ("scale", 0), ("scale", 2.01), ("epochs", 0), ("focal_gamma", -1),
        ("plateau_factor", 1), ("plateau_factor", math.inf), ("seed", -1), ("input_mode", "zoom"), ("backbone", ""),
        ("decoder_channels", 15), ("precision", "fp8"), ("optimizer", "guess"), ("labels", "all"),
        ("crops_per_image", -1), ("patience_epochs", -1), ("weight_decay", -0.1), ("augmentation", "wild"),
        ("rate_schedule", "zigzag"), ("cycles", 0), ("batch_size", "most"),
        ("plateau_patience_epochs", 0), ("weights", ""),
        ("rare_crop_probability", -0.1), ("rare_crop_probability", 1.1), ("class_weights", "heavy"),
        ("scale_jitter", 0.5), ("scale_jitter", 4.1), ("max_class_share", 0.0), ("max_class_share", 1.1),
        ("class_mix_probability", 1.1), ("copy_paste_probability", -0.1), ("augmentation_on", "gpu"),
    ],
)  # fmt: skip
def test_value_out_of_range_is_refused_with_field_and_value(name, value):
    with pytest.raises(ConfigError, match=f"^{name}={value!r}: "):
        TrainConfig.from_values({name: value})


def test_every_wrong_value_is_named_in_one_message():
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_values({"batch_size": 0, "scale": 3, "epochs": "many"})
    assert [line.partition("=")[0] for line in str(caught.value).splitlines()] == [
        "scale", "batch_size", "epochs",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "told"), [("loss=ce+hinge", "'hinge' is no loss"), ("backbone_options=drop_path_rate", "drop_path_rate")]
)
def test_expression_that_is_none_is_refused_where_it_is_given(given, told):
    with pytest.raises(ConfigError, match=told):
        parse_assignments((given,))


def test_wrong_loss_is_refused_when_the_configuration_is_built():
    with pytest.raises(ConfigError, match="'hinge' is no loss"):
        TrainConfig.from_values({"loss": "ce+hinge"})


def test_configuration_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().epochs = 3


@pytest.mark.parametrize(
    ("weights", "whole"),
    [
        ("w.pth", "{here}/w.pth"),
        ("~/w.pth", "{home}/w.pth"),
        ("/a/w.pth", "/a/w.pth"),
        ("~nobody-of-this-name/w.pth", "~nobody-of-this-name/w.pth"),
        ("imagenet", "imagenet"),
        ("none", "none"),
    ],
)
def test_weights_file_is_named_by_its_whole_path(weights, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somebody")
    expected = whole.format(here=tmp_path, home="/somebody")
    assert make_paths_whole({"weights": weights, "epochs": 3}) == {"weights": expected, "epochs": 3}
    assert make_paths_whole({"epochs": 3}) == {"epochs": 3}


def test_assignments_become_values_of_the_fields_types():
    assert parse_assignments(("batch_size=4", "learning_rate=1e-2", "weights=/a=b.pth")) == {
        "batch_size": 4,
        "learning_rate": 0.01,
        "weights": "/a=b.pth",
    }
    assert TrainConfig.from_assignments(("epochs=3",)) == TrainConfig.from_values({"epochs": 3})


@pytest.mark.parametrize(
    ("assignments", "complaint"),
    [
        (("epochs",), "'epochs' is no assignment"),
        (("epochs=3", "epochs=4"), "epochs is given twice"),
        (("epoch=3",), "'epoch' is no field"),
        (("epochs=three",), "^epochs='three': "),
        (("scale=7",), "^scale='7': "),
    ],
)
def test_wrong_assignment_is_refused(assignments, complaint):
    with pytest.raises(ConfigError, match=complaint):
        parse_assignments(assignments)


def test_decoder_width_halves_at_each_level_but_not_below_16():
    assert decoder_widths(256) == (256, 128, 64, 32, 16)
    assert decoder_widths(40) == (40, 20, 16, 16, 16)


def test_every_field_is_described_with_its_default_and_what_it_allows():
    rows = {name: (default, allowed, meaning) for name, default, allowed, meaning in describe_fields()}
    assert tuple(rows) == FIELD_NAMES
    assert all(meaning for _, _, meaning in rows.values())
    assert rows["labels"] == ("full", "full, scored", "learn every class, or the scored ones and one background")
    assert rows["scale"][:2] == ("0.5", "above 0 and at most 2")


@pytest.mark.parametrize(
    ("values", "smallest"),
    [
        ({"input_mode": "crop", "crop_size": 32}, 2),
        ({"input_mode": "crop", "crop_size": 64}, 1),
        ({"decoder": "deeplabv3plus"}, 2),
        ({"decoder": "upernet"}, 2),
        ({"decoder": "fpn"}, 1),
        ({"backbone": "resnest14d.gluon_in1k"}, 2),
        ({"backbone": "resnest14d.gluon_in1k", "freeze": "batchnorm"}, 1),
    ],
)
def test_batch_of_one_is_refused_where_normalisation_needs_two(values, smallest):
    assert TrainConfig.from_values(values).smallest_batch == smallest
    if smallest == 2:
        with pytest.raises(ConfigError, match=r"batch_size=1 with backbone=.*decoder=.* use a larger batch_size"):
            TrainConfig.from_values({**values, "batch_size": 1})


def test_batch_size_is_a_number_or_auto():
    assert TrainConfig.from_assignments(("batch_size=auto",)).batch_size == "auto"
    assert TrainConfig.from_assignments(("batch_size=16",)).batch_size == 16
    (row,) = [row for row in describe_fields() if row[0] == "batch_size"]
    assert row[1:3] == ("8", "at least 1 and at most 4096, or auto")


def test_more_cycles_than_epochs_are_refused():
    with pytest.raises(ConfigError, match="cycles=4 do not fit into epochs=3; use cycles=3 or fewer"):
        TrainConfig.from_values({"rate_schedule": "cyclic", "cycles": 4, "epochs": 3})
