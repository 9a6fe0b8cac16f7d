import enum
import json
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.memory.events import Asked, encode_event, parse_event
from search.space.draw import Draw, RejectedDrawError, allows, draw, draw_config, name_choice, to_plain
from segcore.config import TrainConfig
from segcore.errors import ConfigError
from spaces import SPACES

FACTS = {"smallest_side": 96}


class Size(enum.Enum):
    SMALL = (32, 48)
    LARGE = (64, 96)


class Count(enum.IntEnum):
    ONE = 1
    TWO = 2


class Thing:
    """Nothing that JSON holds."""

    def __repr__(self) -> str:
        return "<a thing>"


def make_endless() -> dict[str, Any]:
    """Return a dictionary that holds itself."""
    endless: dict[str, Any] = {}
    endless["more"] = endless
    return endless


def small(trial: optuna.Trial) -> dict:
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    return {"backbone": "tf_efficientnet_lite0", "weights": "none"}


def configure(space, settings) -> TrainConfig:
    """Return the configuration of a space's first draw."""
    configs: list[TrainConfig] = []

    def fill(trial: optuna.Trial) -> dict:
        configs.append(draw_config(space, trial, settings))
        return configs[0].values()

    draw(fill, FACTS, seed=0)
    return configs[0]


def draw_choice(choices: Sequence[Any], seed: int = 0, **given_params: Any) -> Draw:
    """Draw one parameter, `pick`."""
    return draw(
        lambda trial: {"pick": trial.suggest_categorical("pick", choices)}, FACTS, seed=seed, given=given_params
    )


def to_text(params: dict[str, Any]) -> str:
    """Tell 1, 1.0 and True apart, which are equal to Python."""
    return json.dumps(params, sort_keys=True)


def keep(params: dict[str, Any]) -> dict[str, Any]:
    """Write parameters into a line of a journal and read them back."""
    event = parse_event(encode_event(Asked(trial=0, fold=0, values={}, params=params)))
    assert isinstance(event, Asked)
    return event.params


class Silent(BaseException):
    """An exception that cannot say what is wrong, and catches no `except Exception`."""

    def __str__(self):
        raise ValueError

    __repr__ = __str__


def test_what_a_space_suggests_and_returns_becomes_a_configuration(make_settings):
    settings = make_settings(epochs=12, seed=7)
    found = draw(lambda trial: draw_config(small, trial, settings).values(), FACTS, seed=0)
    assert found.values["learning_rate"] == found.params["learning_rate"]
    assert found.distributions == {"learning_rate": FloatDistribution(1e-4, 1e-2, log=True)}
    assert [found.values[name] for name in ("backbone", "epochs", "seed")] == ["tf_efficientnet_lite0", 12, 7]


def test_weights_of_a_space_are_found_from_any_folder(make_settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = configure(lambda trial: {**small(trial), "weights": "w.pth"}, make_settings())
    assert config.weights == str(tmp_path / "w.pth")


def test_fixed_values_win_over_those_of_the_space(make_settings):
    config = configure(small, make_settings(fixed={"learning_rate": 0.5, "batch_size": 2}))
    assert (config.learning_rate, config.batch_size) == (0.5, 2)


def test_a_space_may_vary_the_seed_but_not_the_epochs(make_settings):
    """Rungs compare trainings of one length; how long is the search's to say."""
    config = configure(lambda trial: {"seed": 3, "epochs": 50}, make_settings(epochs=12, seed=7))
    assert (config.seed, config.epochs) == (3, 12)


def test_a_space_may_return_nothing(make_settings):
    assert configure(lambda trial: None, make_settings()).epochs == make_settings().epochs


def test_a_space_knows_the_facts_of_the_data(make_settings):
    def space(trial):
        return {"crop_size": trial.study.user_attrs["smallest_side"]}

    assert configure(space, make_settings()).crop_size == 96


def test_name_that_is_no_field_is_refused_with_the_nearest(make_settings):
    def space(trial):
        trial.suggest_float("learning_rte", 1e-4, 1e-3)

    with pytest.raises(ConfigError) as caught:
        configure(space, make_settings(space="mine:space"))
    assert "--space mine:space" in str(caught.value)
    assert "'learning_rte' is no field of TrainConfig; did you mean learning_rate" in str(caught.value)


def test_value_out_of_range_is_refused_with_its_rule(make_settings):
    with pytest.raises(ConfigError, match="batch_size=0: input should be greater than or equal to 1"):
        configure(lambda trial: {"batch_size": 0}, make_settings())


@pytest.mark.parametrize("wrong", [["batch_size"], 7, "crop"])
def test_space_that_returns_no_dictionary_is_refused(make_settings, wrong):
    with pytest.raises(ConfigError, match="--space"):
        configure(lambda trial: wrong, make_settings())


def test_space_that_raises_is_refused_with_its_error(make_settings):
    def space(trial):
        return {"batch_size": {}["missing"]}

    with pytest.raises(ConfigError, match="--space mine:space: the function failed with KeyError: 'missing'"):
        configure(space, make_settings(space="mine:space"))


def test_space_that_ends_the_process_is_refused_with_its_line(make_settings):
    def space(trial):
        sys.exit(0)

    with pytest.raises(ConfigError, match=r"failed with SystemExit: 0 \(.*test_draw.py, line \d+\)"):
        draw(lambda trial: draw_config(space, trial, make_settings()).values(), {}, seed=0)


def test_space_whose_error_cannot_be_shown_is_refused_by_its_name(make_settings):
    def space(trial):
        raise Silent

    with pytest.raises(ConfigError, match=r"the function failed with Silent \(.*test_draw.py, line \d+\)"):
        draw(lambda trial: draw_config(space, trial, make_settings()).values(), {}, seed=0)


def test_ctrl_c_is_no_failure_of_a_space(make_settings):
    def space(trial):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(lambda trial: draw_config(space, trial, make_settings()).values(), {}, seed=0)


def test_what_a_space_returns_is_shown_by_its_beginning(make_settings):
    with pytest.raises(ConfigError) as caught:
        configure(lambda trial: ["loss"] * 1000, make_settings())
    assert len(str(caught.value)) < 320


@pytest.mark.parametrize("name", [5, None])
def test_name_that_is_no_text_is_refused(make_settings, name):
    with pytest.raises(ConfigError, match=f"{name} is no field of TrainConfig"):
        draw(lambda trial: draw_config(lambda _: {name: 2}, trial, make_settings()).values(), {}, seed=0)


def test_combination_that_a_space_prunes_is_rejected_and_no_fault_of_the_space(make_settings):
    def space(trial):
        trial.suggest_int("batch_size", 4, 4)
        raise optuna.TrialPruned

    with pytest.raises(RejectedDrawError, match=r"--space mine:space raised TrialPruned for \{'batch_size': 4\}\."):
        configure(space, make_settings(space="mine:space"))


def test_numpy_numbers_and_enums_become_plain_values_of_a_configuration(make_settings):
    def space(trial):
        trial.suggest_categorical("batch_size", (np.int64(2), np.int64(4)))
        height, _ = trial.suggest_categorical("crop_size", tuple(Size)).value
        return {"crop_size": np.int32(height), "learning_rate": np.float32(0.5), "cycles": Count.TWO}

    settings = make_settings()
    found = draw(lambda trial: draw_config(space, trial, settings).values(), FACTS, seed=0)
    sizes = {"[32, 48]": 32, "[64, 96]": 64}
    assert found.values["crop_size"] == sizes[found.params["crop_size"]]
    assert found.values["learning_rate"] == 0.5
    assert found.values["cycles"] == 2
    assert {type(found.values[name]) for name in ("batch_size", "crop_size", "cycles")} == {int}
    assert keep(found.params) == found.params


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        ("flip", "flip"),
        ((1, 2), [1, 2]),
        ([1, (2.5, "a")], [1, [2.5, "a"]]),
        ({"a": (1,), 2: None}, {"a": [1], "2": None}),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("flip"), "flip"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(0.5), 0.5),
        ((np.int8(1), np.array([0.5])), [1, [0.5]]),
        (Size.SMALL, [32, 48]),
        (Count.ONE, 1),
    ],
)
def test_values_become_what_json_gives_back(value, plain):
    found = to_plain(value)
    assert (found, type(found)) == (plain, type(plain))
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "nan is no finite number; JSON holds none other"),
        (float("-inf"), "-inf is no finite number"),
        (np.float32("inf"), "inf is no finite number"),
        (np.array([0.5, np.nan]), "nan is no finite number"),
        ((1, float("inf")), "inf is no finite number"),
        (Thing(), "<a thing> of type Thing cannot be kept; draw numbers, texts, or lists of them"),
        ([Thing()], "<a thing> of type Thing cannot be kept"),
        (make_endless(), "lists or dictionaries that hold each other, or thousands of each other, cannot be kept"),
        ({1, 2}, "of type set cannot be kept"),
        (b"flip", "of type bytes cannot be kept"),
        (1j, "of type complex cannot be kept"),
        (10**400, "000... is larger than any number that a search can compare; draw less"),
        ([-(10**5000)], "something that cannot be shown is larger than any number that a search can compare"),
        (Silent(), "something that cannot be shown of type Silent cannot be kept"),
        (np.datetime64("2026-01-01"), "of type date cannot be kept"),
    ],
)
def test_what_json_cannot_hold_is_refused(value, told):
    with pytest.raises(ConfigError) as caught:
        to_plain(value)
    assert told in str(caught.value)


def test_plain_names_of_choices():
    choices = (1, 1.0, True, None, "a", (1, 2), ["a"], {"b": 1}, np.float64(0.5), Size.LARGE)
    assert to_text([name_choice(choice) for choice in choices]) == to_text(
        [1, 1.0, True, None, "a", "[1, 2]", '["a"]', '{"b": 1}', 0.5, "[64, 96]"]
    )


@pytest.mark.parametrize(
    "choices",
    [
        ((256, 512), (512, 1024), (96, 96)),
        ([1], [2], []),
        ({"depth": 3}, {"depth": 4}),
        (np.int64(4), np.int64(8)),
        (np.float32(0.1), np.float32(0.7)),
        (np.array([1]), np.array([2])),
        tuple(Size),
        tuple(Count),
        (1, 1.0, True),
        (True, 1.0, 1),
        (0, False, 0.0, None, ""),
        ("1", 1),
        ("auto", 4, (4, 8)),
    ],
)
def test_every_choice_is_drawn_kept_and_drawn_again(choices):
    seen = set()
    for seed in range(60):
        found = draw_choice(choices, seed)
        assert to_text(found.params) == to_text({"pick": name_choice(found.values["pick"])}), "it names what was drawn"
        again = draw_choice(choices, seed=1000, **keep(found.params))
        assert to_text(again.params) == to_text(found.params)
        assert again.values["pick"] is found.values["pick"], "the space's own choice, not its name"
        seen.add(to_text(found.params))
    assert len(seen) == len(choices)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
PLAIN = st.recursive(
    SCALARS | st.sampled_from((*Size, *Count)),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NUMPY = st.one_of(
    st.integers(-(2**31), 2**31 - 1).map(np.int64),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(np.float32),
    st.booleans().map(np.bool_),
)


@given(
    choices=st.lists(PLAIN, min_size=1, max_size=5, unique_by=lambda choice: json.dumps(name_choice(choice)))
    | st.lists(NUMPY, min_size=1, max_size=5, unique_by=lambda choice: json.dumps(name_choice(choice))),
    seed=st.integers(0, 2**31 - 1),
)
def test_what_is_drawn_outlives_the_process(choices, seed):
    """Whatever choices a space has, a draw is drawn again from its line in the journal, by any seed."""
    found = draw_choice(choices, seed)
    kept = keep(found.params)
    assert to_text(kept) == to_text(found.params)
    again = draw_choice(choices, seed + 1, **kept)
    assert to_text(again.params) == to_text(found.params)
    assert again.values["pick"] is found.values["pick"]
    distribution = found.distributions["pick"]
    assert isinstance(distribution, CategoricalDistribution)
    assert to_text(list(distribution.choices)) == to_text([name_choice(choice) for choice in choices])


@given(
    low=st.floats(1e-6, 1),
    factor=st.floats(1, 1e6),
    log=st.booleans(),
    whole=st.integers(-50, 50),
    seed=st.integers(0, 999),
)
def test_numbers_that_are_drawn_outlive_the_process(low, factor, log, whole, seed):
    def fill(trial: optuna.Trial) -> dict:
        trial.suggest_float("rate", low, low * factor, log=log)
        trial.suggest_int("count", whole, whole + 9, step=3)
        return {}

    found = draw(fill, FACTS, seed=seed)
    assert draw(fill, FACTS, seed=seed + 1, given=keep(found.params)).params == found.params


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        (((1, 2), [1, 2]), r'pick: two choices are "\[1, 2\]" in JSON; give each once, or unlike names'),
        (("[1, 2]", (1, 2)), "pick: two choices are"),
        ((1, np.int64(1)), "pick: two choices are 1 in JSON"),
        ((Count.ONE, 1), "pick: two choices are 1 in JSON"),
        (({1: "a"}, {"1": "a"}), "pick: two choices are"),
        ((0.5, float("nan")), "pick: nan is no finite number"),
        ((float("inf"), 0.5), "pick: inf is no finite number"),
        (("flip", Thing()), "pick: <a thing> of type Thing cannot be kept; draw numbers, texts, or lists of them"),
        ((np.array([1, 2]), np.array([3, 4])), "pick: its choices cannot be compared .*give plain numbers and lists"),
        (((np.array([1, 2]), 1), (np.array([3, 4]), 2)), "pick: its choices cannot be compared"),
    ],
)
def test_choices_that_cannot_be_kept_are_refused_whichever_is_drawn(choices, told):
    for seed in range(8):
        with pytest.raises(ConfigError, match=told):
            draw_choice(choices, seed)


def test_arrays_as_lists_are_choices():
    """What the message about choices that cannot be compared advises works."""
    choices = [array.tolist() for array in (np.array([1, 2]), np.array([3, 4]))]
    assert {draw_choice(choices, seed).params["pick"] for seed in range(20)} == {"[1, 2]", "[3, 4]"}


def test_draw_is_a_function_of_the_seed():
    draws = [draw(small, FACTS, seed=seed).params for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_given_values_are_kept_where_the_space_allows_them_and_drawn_elsewhere():
    found = draw(SPACES["street"], {"smallest_side": 512}, seed=0, given={"learning_rate": 7.0, "batch_size": 16})
    assert found.params["batch_size"] == 16
    assert 2e-5 <= found.params["learning_rate"] <= 3e-3


@pytest.mark.parametrize(
    ("distribution", "allowed", "refused"),
    [
        (FloatDistribution(0.1, 1.0), (0.1, 1, 0.55), (0.09, 1.01, "auto", None, True)),
        (FloatDistribution(0.0, 1.0, step=0.25), (0.0, 0.25, 1.0), (0.3, 1.25)),
        (IntDistribution(2, 8, step=2), (2, 8, 4.0), (3, 10, 0, "auto", True)),
        (CategoricalDistribution((1, "a", None)), (1, 1.0, "a", None), (True, "b", "1", "null")),
        (CategoricalDistribution((True, 0.5)), (True, 0.5), (1, 1.0, False)),
    ],
)
def test_what_a_parameter_may_be(distribution, allowed, refused):
    assert [allows(distribution, value) for value in allowed] == [True] * len(allowed)
    assert [allows(distribution, value) for value in refused] == [False] * len(refused)


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_a_choice_may_be_given_as_such_or_by_its_plain_name():
    distribution = CategoricalDistribution(((1, 2), (3,)))
    assert all(allows(distribution, value) for value in ("[1, 2]", [1, 2], (1, 2), (3,)))
    assert not any(allows(distribution, value) for value in ("[1,2]", [2, 1], 1))


def test_what_a_space_warns_of_is_told_once_however_often_it_draws(monkeypatch):
    """What Optuna says of lists, which its databases cannot keep, and of a range between two steps is not."""
    monkeypatch.setattr("search.space.draw._TOLD", set())

    def outdated(trial):
        warnings.warn("this is outdated", UserWarning, stacklevel=1)
        trial.suggest_float("weight_decay", 0.0, 1.0, step=0.3)
        return {"loss": trial.suggest_categorical("loss", (["ce"], ["bce"]))}

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for seed in range(3):
            draw(outdated, {}, seed=seed)
    assert [str(each.message) for each in told] == ["this is outdated"]
