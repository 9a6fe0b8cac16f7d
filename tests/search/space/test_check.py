import itertools
from dataclasses import replace

import optuna
import pytest

from search.memory.events import Asked, encode_event, parse_event
from search.space.check import find_edition, require_same_space, require_usable_space
from search.space.draw import Draw, draw, draw_config
from segcore.errors import ConfigError, WeightsError
from segcore.training.feasible import Feasibility
from spaces import FORMER_SPACES, SPACES
from tests.conftest import CLASSES

FACTS = {"smallest_side": 96}
REQUIRE = Feasibility({(96, 128)}, CLASSES, 96).require
CHANGED = "not the one that this search began with; restore it, or launch a new search with this one"


def small(trial: optuna.Trial) -> dict:
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    return {"backbone": "tf_efficientnet_lite0", "weights": "none"}


def test_usable_space_passes(make_settings):
    require_usable_space(small, make_settings(), FACTS, REQUIRE)


def steps(trial: optuna.Trial) -> dict:
    trial.suggest_int("batch_size", 2, 8, step=2)
    trial.suggest_float("weight_decay", 0.0, 0.02, step=0.01)
    trial.suggest_float("learning_rate", 1e-3, 1e-3)
    if trial.suggest_categorical("input_mode", ("crop", "full")) == "crop":
        trial.suggest_categorical("crop_size", (32, 64))
    return {"backbone": "tf_efficientnet_lite0", "weights": "none"}


@pytest.mark.parametrize(
    ("space", "fixed", "most"),
    [
        (small, {}, None),
        (small, {"learning_rate": 1e-3}, 1),
        (lambda trial: {"weights": "none"}, {}, 1),
        # 4 batch sizes, 3 decays, 1 rate, 2 modes, 2 crops.
        (steps, {}, 4 * 3 * 1 * 2 * 2),
        (steps, {"batch_size": 4}, 3 * 1 * 2 * 2),
    ],
)
def test_how_many_configurations_a_space_draws_at_most_is_known(make_settings, space, fixed, most):
    assert require_usable_space(space, make_settings(fixed=fixed), FACTS, REQUIRE) == most


def test_crop_larger_than_the_data_is_refused_even_when_it_is_drawn_seldom(make_settings):
    """One of 16 sizes does not fit; 64 draws find it."""

    def space(trial):
        trial.suggest_categorical("crop_size", (128, *range(32, 92, 4)))
        return {"input_mode": "crop", **small(trial)}

    with pytest.raises(ConfigError, match="crop_size=128 is larger than the shorter side of the images, 96 pixels"):
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


def test_constant_that_changes_by_itself_is_refused(make_settings):
    """Its trials would be told apart by what nobody knows."""
    rates = iter(range(1, 1000))

    def space(trial):
        return {**small(trial), "weight_decay": next(rates) / 1000}

    with pytest.raises(ConfigError, match=r"returns weight_decay=0\.001, and 0\.002 for the same draw"):
        require_usable_space(space, make_settings(), FACTS, REQUIRE)


def test_more_choices_than_trials_can_tell_apart_are_refused_at_once(make_settings):
    def space(trial):
        trial.suggest_categorical("seed", range(100_000))
        return small(trial)

    with pytest.raises(ConfigError, match=r"seed: has 100,000 choices, and at most 1,000 .* suggest_int"):
        require_usable_space(space, make_settings(), FACTS, REQUIRE)


def pairs(trial: optuna.Trial) -> dict:
    """Crop sizes are pairs of which the first is meant, batch sizes NumPy's."""
    side, _ = trial.suggest_categorical("crop_size", ((32, 32), (64, 32), [96, 32]))
    trial.suggest_categorical("augmentation", ("none", "flip"))
    return {"input_mode": "crop", "crop_size": side, **small(trial)}


def test_space_whose_choices_are_tuples_and_lists_passes_and_is_the_same_later(make_settings):
    settings = make_settings()
    require_usable_space(pairs, settings, FACTS, REQUIRE)
    found = draw(lambda trial: draw_config(pairs, trial, settings).values(), FACTS, seed=0)
    asked = parse_event(encode_event(Asked(trial=0, fold=0, values=found.values, params=found.params)))
    assert isinstance(asked, Asked)
    assert asked.params["crop_size"] in ("[32, 32]", "[64, 32]", "[96, 32]")
    assert asked.values["crop_size"] in (32, 64, 96)
    require_same_space(pairs, settings, FACTS, [_known(asked.params, **asked.values)])


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        (((32, 64), [32, 64]), "crop_size: two choices are"),
        ((32, float("nan")), "crop_size: nan is no finite number"),
        ((32, object()), "crop_size: <object object at .* of type object cannot be kept; draw numbers, texts, or"),
    ],
)
def test_choices_that_a_journal_could_not_keep_are_refused_at_the_start(make_settings, choices, told):
    def space(trial):
        trial.suggest_categorical("crop_size", choices)
        return {"crop_size": 32, **small(trial)}

    with pytest.raises(ConfigError, match=told):
        require_usable_space(space, make_settings(), FACTS, REQUIRE)


@pytest.mark.parametrize("choices", [{32, 64}, frozenset((32, 64))])
def test_choices_without_an_order_are_refused(make_settings, choices):
    """Each process has its own order of a set, and a seed draws a place in it."""

    def space(trial):
        trial.suggest_categorical("crop_size", choices)

    with pytest.raises(ConfigError, match=r"the choices of crop_size are a set, .*; give a tuple, or sorted"):
        require_usable_space(space, make_settings(), FACTS, REQUIRE)


def test_keys_of_a_dictionary_have_an_order(make_settings):
    def space(trial):
        rates = {"resnet18": 1e-3, "resnet34": 5e-4}
        return {"learning_rate": rates[trial.suggest_categorical("backbone", rates.keys())], "weights": "none"}

    require_usable_space(space, make_settings(), FACTS, lambda config: None)


def test_choices_that_come_in_another_order_each_time_are_refused(make_settings):
    orders = itertools.cycle([(32, 64), (64, 32)])

    def space(trial):
        trial.suggest_categorical("crop_size", next(orders))
        return small(trial)

    with pytest.raises(ConfigError, match=r"offers crop_size as \(32, 64\), and as \(64, 32\) for the same draw"):
        require_usable_space(space, make_settings(), FACTS, lambda config: None)


def test_space_that_decides_by_more_than_its_trial_is_refused(make_settings):
    """It draws another parameter each time it is called."""
    calls = []

    def space(trial):
        calls.append(trial)
        name = "weight_decay" if len(calls) % 2 else "encoder_rate_factor"
        trial.suggest_float(name, 0.1, 0.9)
        return small(trial)

    with pytest.raises(ConfigError) as caught:
        require_usable_space(space, make_settings(space="mine:space"), FACTS, REQUIRE)
    assert "--space mine:space draws {'encoder_rate_factor'" in str(caught.value)
    assert "a space must draw the same parameters from the same values, whatever trial.number is" in str(caught.value)


def first_small_then_large(trial):
    trial.suggest_categorical("crop_size", (32,) if trial.number < 20 else (64,))
    return {"input_mode": "crop", **small(trial)}


def by_turns(trial):
    return {"seed": trial.number % 2, **small(trial)}


@pytest.mark.parametrize(
    ("space", "told"),
    [
        (first_small_then_large, "draws {'crop_size': 64"),
        (by_turns, "returns seed=0, and 1 for the same draw"),
    ],
)
def test_space_that_goes_by_the_number_of_a_trial_is_refused(make_settings, space, told):
    """In each draw it is 0: the space would draw its first trial again and again."""
    with pytest.raises(ConfigError) as caught:
        require_usable_space(space, make_settings(), FACTS, lambda config: None)
    assert told in str(caught.value)


def picky(trial: optuna.Trial) -> dict:
    """Gives up three of four combinations: what it would crop it cannot, and every second loss it does not want."""
    size = trial.suggest_categorical("crop_size", (64, 500))
    loss = trial.suggest_categorical("loss", ("focal", "jaccard"))
    if size == 500 or loss == "jaccard":
        raise optuna.TrialPruned
    return {"input_mode": "crop", **small(trial)}


def drawn_in_vain(trial):
    trial.suggest_categorical("loss", ("ce", "ce+dice"))
    return {"loss": "ce", **small(trial)}


def drawn_epochs(trial):
    trial.suggest_int("epochs", 1, 9)
    return small(trial)


def returned_epochs(trial):
    return {"epochs": 5, **small(trial)}


def drawn_twice(trial):
    trial.suggest_float("learning_rate", 1e-1, 1.0, log=True)
    return small(trial)


@pytest.mark.parametrize(
    ("space", "told"),
    [
        (drawn_in_vain, 'draws loss, and trains all with loss="ce": .*what it returns wins'),
        (drawn_epochs, "draws epochs, and trains all with epochs=27"),
        (returned_epochs, "epochs=5 is returned, which --epochs 27 gives to all trials"),
        (drawn_twice, "Inconsistent parameter values"),
    ],
)
def test_what_a_space_says_and_a_search_would_not_do_is_refused(make_settings, space, told):
    with pytest.raises(ConfigError, match=told):
        require_usable_space(space, make_settings(), FACTS, REQUIRE)


def test_what_is_drawn_may_be_fixed_for_a_search(make_settings):
    def space(trial):
        trial.suggest_categorical("loss", ("ce", "ce+dice"))
        return small(trial)

    require_usable_space(space, make_settings(fixed={"loss": "ce"}), FACTS, REQUIRE)


def test_fault_that_compiled_code_finds_is_told_with_the_line_of_the_space(make_settings):
    def space(trial):
        trial.suggest_float("learning_rate", 0, float("inf"))

    with pytest.raises(ConfigError, match=rf"OverflowError: .* \({__file__}, line \d+\)"):
        require_usable_space(space, make_settings(), FACTS, REQUIRE)


def test_combinations_that_a_space_gives_up_are_drawn_again(make_settings):
    """Those that it gives up could not be trained: a crop of 500 pixels does not fit."""
    require_usable_space(picky, make_settings(), FACTS, REQUIRE)


def test_space_that_gives_up_all_it_draws_is_refused(make_settings):
    def space(trial):
        small(trial)
        raise optuna.TrialPruned

    with pytest.raises(ConfigError) as caught:
        require_usable_space(space, make_settings(space="mine:space"), FACTS, REQUIRE)
    assert "--space mine:space raised TrialPruned for {'learning_rate': " in str(caught.value)
    assert "So did all of 64 draws; let it reject fewer of its combinations." in str(caught.value)


def _known(params: dict, **values: object) -> Draw:
    return Draw(params=params, values=values)


DRAWN = {"learning_rate": 1e-3, "backbone": "resnet18"}


def began_with(trial):
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    trial.suggest_categorical("backbone", ("resnet18", "resnet34"))


def other_rates(trial):
    trial.suggest_float("learning_rate", 1e-6, 1e-5, log=True)
    trial.suggest_categorical("backbone", ("resnet18", "resnet34"))


def other_names(trial):
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    trial.suggest_categorical("loss", ("ce", "focal"))


def other_classes(trial):
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    trial.suggest_categorical("backbone", ("resnet50",))


def one_less(trial):
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)


def one_more(trial):
    began_with(trial)
    trial.suggest_int("batch_size", 2, 4)


def gives_up(trial):
    began_with(trial)
    raise optuna.TrialPruned


def fails(trial):
    return {"batch_size": {}[trial.suggest_categorical("backbone", ("resnet18",))]}


def impossible(trial):
    began_with(trial)
    return {"batch_size": 0}


def test_space_that_still_draws_all_trials_is_the_same(make_settings):
    """That it draws more by now than it did does not matter."""
    trials = [_known(DRAWN, optimizer="adamw"), _known({**DRAWN, "backbone": "resnet34"})]
    require_same_space(began_with, make_settings(), FACTS, trials)
    require_same_space(began_with, make_settings(), FACTS, [])
    require_same_space(other_rates, make_settings(), FACTS, [])

    def wider(trial):
        trial.suggest_float("learning_rate", 1e-5, 1, log=True)
        trial.suggest_categorical("backbone", ("resnet50", "resnet34", "resnet18"))

    require_same_space(wider, make_settings(), FACTS, trials)


@pytest.mark.parametrize("space", [other_rates, other_names, other_classes, one_less, one_more])
def test_space_that_draws_otherwise_is_refused(make_settings, space):
    with pytest.raises(ConfigError, match=CHANGED) as caught:
        require_same_space(space, make_settings(), FACTS, [_known(DRAWN)])
    assert "({'learning_rate': 0.001, 'backbone': 'resnet18'} became {'learning_rate': " in str(caught.value)


def test_space_that_draws_the_same_and_trains_it_otherwise_is_refused(make_settings):
    """Its trials from now on would be compared with others than they are told to be; only weights may have moved."""

    def with_constants(trial):
        began_with(trial)
        return {"batch_size": 16, "weights": "/new/place/streets.pth"}

    known = _known(DRAWN, batch_size=16, weights="/old/streets.pth", gone_since=1)
    require_same_space(with_constants, make_settings(), FACTS, [known])
    for other, told in (("batch_size", "batch_size=8 then, and batch_size=16 now"), ("weights", "weights='none' then")):
        values = {**known.values, other: {"batch_size": 8, "weights": "none"}[other]}
        with pytest.raises(ConfigError, match=CHANGED) as caught:
            require_same_space(with_constants, make_settings(), FACTS, [known, _known(DRAWN, **values)])
        assert told in str(caught.value)


@pytest.mark.parametrize(
    ("space", "told"),
    [
        (gives_up, "RejectedDrawError: --space mine:space raised TrialPruned"),
        (fails, "the function failed with KeyError: 'resnet18'"),
        (impossible, "batch_size=0: input should be greater than or equal to 1"),
    ],
)
def test_space_that_fails_on_what_it_drew_once_is_refused(make_settings, space, told):
    with pytest.raises(ConfigError, match=CHANGED) as caught:
        require_same_space(space, make_settings(space="mine:space"), FACTS, [_known(DRAWN)])
    assert told in str(caught.value)


def test_one_trial_among_others_that_the_space_does_not_draw_is_found(make_settings):
    """Ranges may depend on each other: a batch of 9 was allowed beside a crop of 32 alone."""

    def space(trial):
        size = trial.suggest_categorical("crop_size", (32, 64))
        trial.suggest_int("batch_size", 1, 16 if size == 32 else 4)
        return {"input_mode": "crop"}

    trials = [_known({"crop_size": 32, "batch_size": 9}), _known({"crop_size": 64, "batch_size": 4})]
    require_same_space(space, make_settings(), FACTS, trials)
    with pytest.raises(ConfigError, match=r"\{'crop_size': 64, 'batch_size': 9\} became \{'crop_size': 64"):
        require_same_space(space, make_settings(), FACTS, [*trials, _known({"crop_size": 64, "batch_size": 9})])


def _draw_of(space, settings, facts, seed):
    return draw(lambda trial: draw_config(space, trial, settings).values(), facts, seed=seed)


@pytest.mark.parametrize(
    ("name", "former"), [(name, former) for name, editions in FORMER_SPACES.items() for former in editions]
)
def test_search_that_began_with_a_former_edition_goes_on_with_it(make_settings, name, former):
    settings = replace(make_settings(), fixed={})
    facts = {"smallest_side": 360}
    newest = SPACES[name]
    drawn = {space: [_draw_of(space, settings, facts, seed) for seed in range(16)] for space in (former, newest)}
    assert find_edition(name, settings, facts, drawn[former]) is former
    assert find_edition(name, settings, facts, drawn[newest]) is newest
    assert find_edition(name, settings, facts, []) is newest
    with pytest.raises(ConfigError, match="The search space is not the one that this search began with"):
        find_edition(name, settings, facts, [*drawn[former], *drawn[newest]])
