import hypothesis.strategies as st
import pytest
from hypothesis import given

from segcore.config import TrainConfig
from segcore.errors import ConfigError
from segcore.expressions import LOSS_NAMES, parse_backbone_options, parse_loss, translate_first_losses


def test_loss_expression_splits_into_weights_and_names():
    assert parse_loss("ce + 0.5*jaccard+2 * focal") == ((1.0, "ce"), (0.5, "jaccard"), (2.0, "focal"))


@given(st.dictionaries(st.sampled_from(LOSS_NAMES), st.floats(1e-3, 1e3), min_size=1))
def test_any_weighted_sum_is_read_as_written(weight_of_name):
    expression = "+".join(f"{weight:f}*{name}" for name, weight in weight_of_name.items())
    terms = parse_loss(expression)
    assert [name for _, name in terms] == list(weight_of_name)
    # Six decimals are written.
    assert [weight for weight, _ in terms] == pytest.approx(list(weight_of_name.values()), abs=1e-6)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("", "'' is no loss"),
        ("ce+", "'' is no loss"),
        ("hinge", "'hinge' is no loss"),
        ("ce+0.5*ce", "names a loss twice"),
        ("0*ce", "weight '0'"),
        ("-1*ce", "weight '-1'"),
        ("nan*ce", "weight 'nan'"),
        ("inf*ce", "weight 'inf'"),
        ("half*ce", "weight 'half'"),
        ("binary", "'binary' is called 'bce'.*softmax cross-entropy is 'ce'"),
        ("jaccard+0.5*binary", "'binary' is called 'bce'"),
    ],
)
def test_wrong_loss_expression_is_refused(expression, complaint):
    with pytest.raises(ConfigError, match=complaint):
        parse_loss(expression)


@pytest.mark.parametrize(
    ("first", "today"),
    [
        ({"loss": "bce"}, "ce"),
        ({"loss": "binary"}, "bce"),
        ({"loss": "0.5*bce + 2*binary+jaccard"}, "0.5*ce + 2*bce+jaccard"),
        ({}, "ce"),
    ],
)
def test_losses_of_the_first_format_keep_their_meaning(first, today):
    assert translate_first_losses({"epochs": 3, **first}) == {"epochs": 3, "loss": today}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        ("drop_path_rate=0.1", {"drop_path_rate": 0.1}),
        (
            "drop_path_rate=1e-1, stem_width=64,use_grn=true,qkv_bias=false,act_layer=silu",
            {"drop_path_rate": 0.1, "stem_width": 64, "use_grn": True, "qkv_bias": False, "act_layer": "silu"},
        ),
    ],
)
def test_backbone_options_are_names_and_values(text, options):
    found = parse_backbone_options(text)
    assert found == options
    assert [type(value) for value in found.values()] == [type(value) for value in options.values()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drop_path_rate", "'drop_path_rate' is no argument; write NAME=VALUE"),
        ("drop_path_rate=0.1,", "'' is no argument"),
        ("drop path=0.1", "'drop path=0.1' is no argument"),
        ("block_args=[1, 2]", r"'block_args=\[1' is no argument"),
        ("drop_rate=0.1,drop_rate=0.2", "names drop_rate twice; keep one"),
    ],
)
def test_backbone_options_that_are_none_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_values({"backbone_options": text})
