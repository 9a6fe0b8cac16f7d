import json
from contextlib import nullcontext

import pytest

from segcore.errors import ConfigError
from segcore.prediction.options import PredictOptions, parse_scales, plan_prediction, require_effect
from segcore.prediction.tiling import Tiling

ONE_SIZE = {"backbone": "hiera_tiny_224", "input_mode": "crop"}


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"scale": 0.0}, ("scale=0.0", "over 0 and at most 4", "use 0.5")),
        ({"scale": float("nan")}, ("scale=nan", "over 0")),
        ({"scale": 4.5}, ("scale=4.5", "at most 4")),
        ({"tile_size": 31}, ("tile_size=31", "less than 32 pixels", "use 512")),
        ({"overlap": 0.95}, ("overlap=0.95", "between 0 and 0.9", "use 0.5")),
        ({"overlap": -0.1}, ("overlap=-0.1", "between 0 and 0.9")),
        ({"overlap": float("nan")}, ("overlap=nan",)),
        ({"scales": ()}, ("scales=()", "one or more", "use 0.75,1,1.25")),
        ({"scales": (1.0, 0.0)}, ("scales=(1.0, 0.0)", "over 0")),
        ({"scales": (1.0, float("inf"))}, ("inf", "at most 4")),
        ({"scales": (1.0, 1.0)}, ("twice", "keep one")),
    ],
)
def test_value_out_of_range_is_refused_with_rule_and_remedy(values, parts):
    with pytest.raises(ConfigError) as caught:
        PredictOptions(**values)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"mode": "tile"}, ("mode='tile'", "'tiles'")),
        ({"tilesize": 64}, ("tilesize=64", "tile_size")),
        ({"scales": "big"}, ("scales='big'",)),
        ({"tile_size": "wide"}, ("tile_size='wide'", "integer")),
    ],
)
def test_unknown_name_or_type_is_refused_with_the_names(values, parts):
    with pytest.raises(ConfigError) as caught:
        PredictOptions.from_values(values)
    for part in (*parts, "the options are mode, scale, tile_size, overlap, flip, scales"):
        assert part in str(caught.value)


def test_limits_are_allowed():
    PredictOptions(scale=4.0, tile_size=32, overlap=0.9, scales=(4.0,))
    PredictOptions(overlap=0.0)


def test_options_survive_json():
    options = PredictOptions(mode="overlap", tile_size=64, overlap=0.25, flip=True, scales=(0.5, 1.0))
    assert PredictOptions.from_values(json.loads(json.dumps(options.values()))) == options


def test_replaced_changes_what_is_named_and_checks_it():
    options = PredictOptions(mode="tiles", flip=True)
    assert options.replaced({"tile_size": 64}) == PredictOptions(mode="tiles", flip=True, tile_size=64)
    with pytest.raises(ConfigError, match="overlap=2"):
        options.replaced({"overlap": 2.0})


@pytest.mark.parametrize(
    ("trained", "values", "factors", "tiling"),
    [
        ({"input_mode": "full"}, {}, (1.0,), None),
        ({"input_mode": "crop", "crop_size": 96}, {}, (1.0,), None),
        ({"input_mode": "resize", "scale": 0.25}, {}, (0.25,), None),
        ({"input_mode": "resize", "scale": 0.25}, {"mode": "full"}, (1.0,), None),
        ({"input_mode": "resize", "scale": 0.25}, {"mode": "resize", "scale": 0.75}, (0.75,), None),
        ({"input_mode": "resize", "scale": 0.25}, {"scales": (1.0, 2.0)}, (0.25, 0.5), None),
        ({"input_mode": "full"}, {"mode": "resize", "scale": 0.5}, (0.5,), None),
        ({"input_mode": "full"}, {"scale": 0.5}, (1.0,), None),  # scale is for resize mode
        ({"input_mode": "full", "crop_size": 96}, {"mode": "tiles"}, (1.0,), (512, 512, False)),
        ({"input_mode": "crop", "crop_size": 96}, {"mode": "tiles"}, (1.0,), (96, 96, False)),
        ({"input_mode": "crop", "crop_size": 96}, {"mode": "overlap"}, (1.0,), (96, 48, True)),
        ({"input_mode": "crop"}, {"mode": "overlap", "tile_size": 64, "overlap": 0.75}, (1.0,), (64, 16, True)),
        ({"input_mode": "crop"}, {"mode": "tiles", "tile_size": 64, "overlap": 0.75}, (1.0,), (64, 64, False)),
        # A network of one size is padded to it, and takes no larger tiles.
        ({**ONE_SIZE, "crop_size": 96}, {"tile_size": 512}, (1.0,), (96, 48, True)),
        ({**ONE_SIZE, "crop_size": 96}, {"mode": "tiles", "tile_size": 64}, (1.0,), (64, 64, False)),
    ],
)
def test_plan_fills_in_what_the_training_says(make_config, trained, values, factors, tiling):
    plan = plan_prediction(PredictOptions(**values), make_config(**trained))
    assert plan.factors == factors
    assert plan.mirrored == (False,)
    assert plan.tiling == (None if tiling is None else Tiling(size=tiling[0], stride=tiling[1], gaussian=tiling[2]))


def test_resizing_needs_a_scale_that_means_something(make_config):
    with pytest.raises(ConfigError, match=r"input_mode='crop' saw images at their original size; give a scale"):
        plan_prediction(PredictOptions(mode="resize"), make_config(input_mode="crop"))


def test_scales_are_read_from_text():
    assert parse_scales("0.75,1, 1.25") == (0.75, 1.0, 1.25)
    for text in ("", "1;2", "1,,2"):
        with pytest.raises(ConfigError, match="joined by commas; write"):
            parse_scales(text)


@pytest.mark.parametrize(
    ("trained", "values", "told"),
    [
        ({"input_mode": "full"}, {"scale": 0.5}, r"scale=0\.5 changes nothing in mode full; give mode resize too"),
        (
            {"input_mode": "resize"},
            {"tile_size": 64},
            r"tile_size=64 changes nothing in mode resize; give mode overlap or",
        ),
        ({"input_mode": "crop"}, {"mode": "tiles", "overlap": 0.25}, r"overlap=0\.25 changes nothing in mode tiles"),
        ({"input_mode": "resize"}, {"scale": 0.5}, ""),
        ({"input_mode": "crop"}, {"mode": "tiles", "tile_size": 64}, ""),
        ({"input_mode": "crop"}, {"mode": "overlap", "tile_size": 64, "overlap": 0.25}, ""),
    ],
)
def test_an_option_that_changes_nothing_is_refused_where_a_person_gives_it(make_config, trained, values, told):
    """Whoever gives a scale would take the prediction for one at that scale."""
    options, configs = PredictOptions(**values), (make_config(**trained),)
    with pytest.raises(ConfigError, match=told) if told else nullcontext():
        require_effect(values, options, configs)
