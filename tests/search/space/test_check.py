import textwrap

import optuna
import pytest

from search.space.check import new_study, require_usable_space
from search.space.draw import draw_config, load_space
from segcore.errors import ConfigError, WeightsError
from segcore.training.feasible import Feasibility
from spaces import SPACES

FACTS = {"smallest_side": 96}
REQUIRE = Feasibility(FACTS["smallest_side"]).require


def small(trial: optuna.Trial) -> dict:
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    return {"backbone": "tf_efficientnet_lite0", "weights": "none"}


def first_trial(facts: dict | None = None) -> optuna.Trial:
    return new_study(optuna.samplers.RandomSampler(seed=0), facts or FACTS).ask()


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Return a function that writes a module into a folder of the import path."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))

    return write


@pytest.mark.parametrize("name", sorted(SPACES))
def test_spaces_of_the_project_are_found_by_name(name):
    assert load_space(name) is SPACES[name]


def test_own_space_is_found_by_its_import_path(write_module):
    write_module("my_space_a", "def mine(trial):\n    return {'batch_size': trial.suggest_int('batch_size', 1, 2)}\n")
    space = load_space("my_space_a:mine")
    trial = first_trial()
    assert space(trial) == trial.params


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("streets", "is no space; use demo, street, or package.module:function"),
        ("street.py", "is no space"),
        ("no_such_module:mine", "No module named 'no_such_module'"),
        ("my_space_b:yours", "has no attribute 'yours'"),
        ("my_space_b:", "cannot be imported"),
        (":mine", "cannot be imported"),
        ("my_space_b:number", "is no function"),
    ],
)
def test_path_that_leads_nowhere_is_refused(write_module, path, told):
    write_module("my_space_b", "number = 3\ndef mine(trial): ...\n")
    with pytest.raises(ConfigError) as caught:
        load_space(path)
    assert f"--space {path!r}" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize("source", ["import no_such_module\n", "def mine(trial:\n", "1 / 0\n"])
def test_module_that_fails_when_imported_is_refused(write_module, source):
    name = f"my_broken_{abs(hash(source))}"
    write_module(name, source)
    with pytest.raises(ConfigError, match="cannot be imported"):
        load_space(f"{name}:mine")


def test_what_a_space_suggests_and_returns_becomes_a_configuration(make_settings):
    trial = first_trial()
    config = draw_config(small, trial, make_settings(epochs=12, seed=7))
    assert config.learning_rate == trial.params["learning_rate"]
    assert (config.backbone, config.epochs, config.seed) == ("tf_efficientnet_lite0", 12, 7)


def test_fixed_values_win_over_those_of_the_space(make_settings):
    settings = make_settings(fixed={"learning_rate": 0.5, "batch_size": 2})
    config = draw_config(small, first_trial(), settings)
    assert (config.learning_rate, config.batch_size) == (0.5, 2)


def test_a_space_may_vary_the_seed_but_not_the_epochs(make_settings):
    """Rungs compare trainings of one length; how long is the search's to say."""
    config = draw_config(lambda trial: {"seed": 3, "epochs": 50}, first_trial(), make_settings(epochs=12, seed=7))
    assert (config.seed, config.epochs) == (3, 12)


def test_a_space_may_return_nothing(make_settings):
    config = draw_config(lambda trial: None, first_trial(), make_settings())
    assert config.epochs == make_settings().epochs


def test_a_space_knows_the_facts_of_the_data(make_settings):
    def space(trial):
        return {"crop_size": trial.study.user_attrs["smallest_side"]}

    assert draw_config(space, first_trial(), make_settings()).crop_size == 96


def test_name_that_is_no_field_is_refused_with_the_nearest(make_settings):
    def space(trial):
        trial.suggest_float("learning_rte", 1e-4, 1e-3)

    with pytest.raises(ConfigError) as caught:
        draw_config(space, first_trial(), make_settings(space="mine:space"))
    assert "--space mine:space" in str(caught.value)
    assert "'learning_rte' is no field of TrainConfig; did you mean learning_rate" in str(caught.value)


def test_value_out_of_range_is_refused_with_its_rule(make_settings):
    with pytest.raises(ConfigError, match="batch_size=0: input should be greater than or equal to 1"):
        draw_config(lambda trial: {"batch_size": 0}, first_trial(), make_settings())


@pytest.mark.parametrize("wrong", [["batch_size"], 7, "crop"])
def test_space_that_returns_no_dictionary_is_refused(make_settings, wrong):
    with pytest.raises(ConfigError, match="--space"):
        draw_config(lambda trial: wrong, first_trial(), make_settings())


def test_space_that_raises_is_refused_with_its_error(make_settings):
    def space(trial):
        return {"batch_size": {}["missing"]}

    with pytest.raises(ConfigError, match="--space mine:space: the function failed with KeyError: 'missing'"):
        draw_config(space, first_trial(), make_settings(space="mine:space"))


def test_usable_space_passes(make_settings):
    require_usable_space(small, make_settings(), FACTS, REQUIRE)


def test_crop_larger_than_the_data_is_refused_even_when_it_is_drawn_seldom(make_settings):
    """One of 16 sizes does not fit; 64 draws find it."""

    def space(trial):
        trial.suggest_categorical("crop_size", (128, *range(32, 92, 4)))
        return {"input_mode": "crop", **small(trial)}

    with pytest.raises(ConfigError, match="crop_size=128 is larger than the smallest image side, 96 pixels"):
        require_usable_space(space, make_settings(), FACTS, REQUIRE)


def test_backbone_that_does_not_exist_is_refused(make_settings):
    with pytest.raises(ConfigError, match="resnet35"):
        require_usable_space(
            lambda trial: {"backbone": "resnet35", "weights": "none"},
            make_settings(),
            FACTS,
            REQUIRE,
        )


def test_weights_that_cannot_be_had_are_refused(make_settings):
    settings = make_settings(fixed={"weights": "/no/such/file.pth"})
    with pytest.raises(WeightsError, match="is no file"):
        require_usable_space(small, settings, FACTS, REQUIRE)
