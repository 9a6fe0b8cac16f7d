import math

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.propose.encoding import Encoding, widen

SPACE = {
    "rate": FloatDistribution(1e-4, 1e-2, log=True),
    "depth": IntDistribution(1, 4),
    "loss": CategoricalDistribution(("ce", "focal", "jaccard")),
    "crop": CategoricalDistribution((512, 128, 256)),
    "share": FloatDistribution(0.0, 1.0, step=0.25),
}


@pytest.fixture
def encoding() -> Encoding:
    return Encoding(SPACE)


def test_codes_of_numbers_choices_and_ordered_choices(encoding):
    codes = encoding.encode({"rate": 1e-3, "depth": 2, "loss": "focal", "crop": 256})
    # Half of two decades; 2 of 0.5 to 4.5; the second choice; the middle of 128, 256, 512; not there.
    assert codes[:4] == pytest.approx([0.5, 0.375, 1.0, 0.5])
    assert math.isnan(codes[4])


def test_decoding_gives_back_what_was_encoded(encoding):
    params = {"rate": 2e-3, "depth": 4, "loss": "jaccard", "crop": 512, "share": 0.75}
    decoded = encoding.decode(encoding.encode(params))
    assert decoded.pop("rate") == pytest.approx(params.pop("rate"))
    assert decoded == params


@pytest.mark.parametrize("code", [0.0, 0.999999, 1.0])
def test_every_code_decodes_to_an_allowed_value(encoding, code):
    decoded = encoding.decode(np.array([code, code, 2.0, code, code]))
    assert 1e-4 <= decoded["rate"] <= 1e-2
    assert decoded["depth"] in (1, 4)
    assert decoded["share"] in (0.0, 1.0)


def test_configurations_that_differ_in_a_choice_are_one_apart_and_missing_numbers_count_as_the_middle(encoding):
    rows = np.stack([encoding.encode({"loss": loss, "share": 1.0}) for loss in ("ce", "focal")])
    rows[1, 4] = math.nan
    features = encoding.features(rows)
    assert np.sum((features[2][0] - features[2][1]) ** 2) == pytest.approx(1.0)
    # From 1 to the middle, 0.25, and 0.5 for the one that lacks it.
    assert np.sum((features[4][0] - features[4][1]) ** 2) == pytest.approx(0.75)
    assert np.sum((features[0][0] - features[0][1]) ** 2) == 0.0


def test_varied_configurations_keep_what_they_lack_and_change_something(encoding):
    rows = np.tile(encoding.encode({"rate": 1.1e-4, "depth": 2, "loss": "ce"}), (50, 1))
    varied = encoding.vary(rows, np.random.default_rng(0))
    assert np.isnan(varied[:, 3:]).all()
    assert (varied[:, :3] != rows[:, :3]).any(axis=1).mean() > 0.5
    assert set(varied[:, 2]) == {0.0, 1.0, 2.0}
    assert ((varied[:, :2] >= 0) & (varied[:, :2] <= 1)).all() and (varied[:, :2] == 0).any(), "cut off at the ends"


def test_varied_configurations_lack_a_choice_that_they_lacked(encoding):
    rows = np.tile(encoding.encode({"rate": 1e-3}), (20, 1))
    assert np.isnan(encoding.vary(rows, np.random.default_rng(0))[:, 1:]).all()


def test_of_many_parameters_a_few_are_varied_and_one_at_least():
    """Each of ten changes with a chance of 0.2: without more than that one of nine would stay as it was."""
    encoding = Encoding({str(number): FloatDistribution(0.0, 1.0) for number in range(10)})
    rows = np.full((200, 10), 0.5)
    varied = encoding.vary(rows, np.random.default_rng(0)) != rows
    assert varied.any(axis=1).all()
    # One in ten for certain, a fifth of the others: 0.1 + 0.9 * 0.2.
    assert varied.mean() == pytest.approx(0.28, abs=0.04)


def test_yes_and_no_are_choices_not_numbers():
    encoding = Encoding({"flip": CategoricalDistribution((False, True))})
    varied = encoding.vary(np.zeros((200, 1)), np.random.default_rng(0))
    assert set(varied[:, 0]) == {0.0, 1.0}
    assert varied.mean() == pytest.approx(0.5, abs=0.1)


def test_code_between_ordered_choices_is_the_nearest(encoding):
    """128, 256 and 512 have 0, 0.5 and 1."""
    rows = np.tile(encoding.encode({"crop": 128}), (4, 1))
    rows[:, 3] = (0.24, 0.26, 0.74, 0.76)
    assert [encoding.decode(row)["crop"] for row in rows] == [128, 256, 256, 512]


def test_only_choice_is_none():
    encoding = Encoding({"crop": CategoricalDistribution((512,))})
    assert encoding.decode(encoding.encode({"crop": 512})) == {"crop": 512}


def test_shaken_configurations_keep_their_choices(encoding):
    rows = np.tile(encoding.encode({"rate": 1e-3, "loss": "focal"}), (20, 1))
    shaken = encoding.shake(rows, np.random.default_rng(0))
    assert set(shaken[:, 2]) == {1.0}
    assert len(set(shaken[:, 0])) == 20
    assert np.isnan(shaken[:, 1]).all()


def test_choices_with_one_that_is_no_number_have_no_order():
    """Each draw of a space has a NaN of its own."""
    encoding = Encoding({"limit": CategoricalDistribution((1.0, float("nan"), 0.5))})
    codes = [encoding.encode({"limit": value})[0] for value in (1.0, float("nan"), 0.5)]
    assert codes == [0.0, 1.0, 2.0]
    assert math.isnan(encoding.decode(np.array([1.0]))["limit"])


@pytest.mark.parametrize(
    ("ranges", "widened"),
    [
        ((IntDistribution(1, 16), IntDistribution(1, 4)), IntDistribution(1, 16)),
        ((IntDistribution(4, 8, step=4), IntDistribution(2, 6, step=2)), IntDistribution(2, 8)),
        ((IntDistribution(2, 10, step=4), IntDistribution(3, 11, step=4)), IntDistribution(2, 11)),
        ((IntDistribution(0, 8, step=4), IntDistribution(0, 9, step=3)), IntDistribution(0, 9)),
        ((FloatDistribution(1e-3, 1, log=True), FloatDistribution(1e-4, 0.1, log=True)),
         FloatDistribution(1e-4, 1, log=True)),
        ((FloatDistribution(1e-3, 1, log=True), FloatDistribution(0, 0.1)), FloatDistribution(0, 1)),
        ((IntDistribution(1, 8, log=True), IntDistribution(0, 4)), IntDistribution(0, 8)),
        ((CategoricalDistribution(("a",)), CategoricalDistribution(("a",))), CategoricalDistribution(("a",))),
    ],
)  # fmt: skip
def test_ranges_of_one_parameter_are_widened_to_hold_both(ranges, widened):
    assert widen(*ranges) == widened
    assert widen(*ranges[::-1]) == widened


def test_choices_that_hang_on_others_are_widened_to_all_of_them_in_the_order_they_came():
    known, other = CategoricalDistribution(("ce", 1, True)), CategoricalDistribution((True, "dice", 1.0, "ce"))
    widened = widen(known, other)
    assert isinstance(widened, CategoricalDistribution)
    assert [repr(choice) for choice in widened.choices] == ["'ce'", "1", "True", "'dice'", "1.0"]


@pytest.mark.parametrize(
    ("name", "value"), [("loss", "lovasz"), ("crop", 384), ("crop", "auto"), ("rate", "auto"), ("rate", -1.0)]
)
def test_what_the_model_has_never_seen_of_a_parameter_counts_as_unknown(encoding, name, value):
    codes = encoding.encode({"loss": "ce", "crop": 128, "rate": 1e-3, name: value})
    unknown = {each for each, code in zip(encoding.names, codes, strict=True) if math.isnan(code)}
    assert unknown == {"depth", "share", name}
