import json
import os

import optuna
import pytest

from search.space import first
from search.space.first import add_known, read_prior, resolve_first
from segcore.config import TrainConfig
from segcore.errors import ConfigError, WeightsError
from segcore.training.feasible import Feasibility
from tests.conftest import CLASSES

FACTS = {"smallest_side": 96}
REQUIRE = Feasibility({(96, 128)}, CLASSES, 96).require


def small(trial: optuna.Trial) -> dict:
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    if trial.suggest_categorical("input_mode", ("crop", "full")) == "crop":
        trial.suggest_categorical("crop_size", (32, 64))
    trial.suggest_int("batch_size", 2, 8, step=2)
    return {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16}


GIVEN = {"learning_rate": 2e-3, "input_mode": "crop", "crop_size": 64, "batch_size": 6}


def resolve(given: dict, make_settings, **changes) -> dict:
    (resolved,) = resolve_first(
        [("best.json", given)],
        small,
        make_settings(epochs=5, seed=3, **changes),
        FACTS,
        REQUIRE,
    )
    return resolved


def test_what_the_space_can_draw_is_told_to_the_sampler_as_it_would_have_drawn_it(make_settings):
    resolved = resolve(GIVEN, make_settings)
    assert resolved["drawable"]
    assert resolved["params"] == GIVEN
    expected = {**small_constants(), **GIVEN, "epochs": 5, "seed": 3}
    assert resolved["values"] == TrainConfig.from_values(expected).values()


def small_constants() -> dict:
    return {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16}


@pytest.mark.parametrize(
    "outside",
    [{"learning_rate": 0.5}, {"batch_size": 5}, {"batch_size": 10}, {"batch_size": "auto"}, {"crop_size": 96},
     {"input_mode": "resize"}, {"decoder_channels": 32}, {"optimizer": "sgd"}],
)  # fmt: skip
def test_what_the_space_cannot_draw_is_trained_and_not_told(make_settings, outside):
    resolved = resolve({**GIVEN, **outside}, make_settings)
    assert (resolved["drawable"], resolved["params"]) == (False, {})
    assert {name: resolved["values"][name] for name in outside} == outside


def test_what_is_left_out_is_drawn_or_set_by_the_space_the_same_each_time(make_settings):
    first, second = (resolve({"input_mode": "full"}, make_settings) for _ in range(2))
    assert first == second
    assert first["drawable"]
    assert sorted(first["params"]) == ["batch_size", "input_mode", "learning_rate"]
    assert first["values"]["decoder_channels"] == 16


def picky(trial: optuna.Trial) -> dict:
    """Wants no odd number of cycles, and no jaccard: three of four draws are given up."""
    loss = trial.suggest_categorical("loss", ("ce", "jaccard"))
    if loss == "jaccard" or trial.suggest_int("cycles", 1, 4) % 2:
        raise optuna.TrialPruned
    return {"backbone": "tf_efficientnet_lite0", "weights": "none"}


def resolve_picky(given: dict, settings) -> dict:
    (resolved,) = resolve_first([("best.json", given)], picky, settings, FACTS, REQUIRE)
    return resolved


@pytest.mark.parametrize("seed", range(6))
def test_what_is_left_out_is_drawn_until_the_space_wants_the_combination(make_settings, seed):
    resolved = resolve_picky({"learning_rate": 2e-3}, make_settings(seed=seed))
    assert resolved["values"]["loss"] == "ce"
    assert resolved["values"]["cycles"] in (2, 4)
    assert resolved["values"]["learning_rate"] == 2e-3
    kept = resolve_picky({"cycles": 4}, make_settings(seed=seed))
    assert (kept["drawable"], kept["params"]) == (True, {"loss": "ce", "cycles": 4})


@pytest.mark.parametrize("given", [{"loss": "jaccard"}, {"cycles": 3}, {"loss": "jaccard", "cycles": 3}])
def test_combination_that_the_space_gives_up_is_trained_and_not_told(make_settings, given):
    resolved = resolve_picky(given, make_settings())
    assert (resolved["drawable"], resolved["params"]) == (False, {})
    assert {name: resolved["values"][name] for name in given} == given


def test_space_that_gives_up_all_it_draws_is_refused_with_where_the_configuration_is_from(make_settings):
    def space(trial):
        raise optuna.TrialPruned

    with pytest.raises(ConfigError, match=r"^best\.json: --space .* raised TrialPruned .* let it reject fewer"):
        resolve_first([("best.json", GIVEN)], space, make_settings(), FACTS, REQUIRE)


def pairs(trial: optuna.Trial) -> dict:
    side, _ = trial.suggest_categorical("crop_size", ((32, 64), (64, 96)))
    return {"input_mode": "crop", "crop_size": side, "backbone": "tf_efficientnet_lite0", "weights": "none"}


@pytest.mark.parametrize(
    ("given", "params"),
    [
        ({"crop_size": 48}, None),
        ({"learning_rate": 0.5}, None),
        ({"input_mode": "crop"}, {"crop_size"}),
    ],
)
def test_what_a_space_draws_as_pairs_is_told_by_its_plain_name(make_settings, given, params):
    (resolved,) = resolve_first([("best.json", given)], pairs, make_settings(), FACTS, REQUIRE)
    assert resolved["drawable"] is (params is not None)
    assert set(resolved["params"]) == (params or set())
    assert all(name in ("[32, 64]", "[64, 96]") for name in resolved["params"].values())
    assert json.loads(json.dumps(resolved)) == resolved


def test_epochs_seed_and_fixed_values_are_those_of_the_search(make_settings):
    given = {**GIVEN, "epochs": 99, "seed": 7, "optimizer": "sgd"}
    resolved = resolve(given, make_settings, fixed={"optimizer": "adam"})
    assert [resolved["values"][name] for name in ("epochs", "seed", "optimizer")] == [5, 3, "adam"]
    assert resolved["drawable"]


def test_equal_configurations_are_tried_once(make_settings):
    given = [("file", each) for each in (GIVEN, {**GIVEN}, {**GIVEN, "batch_size": 2})]
    assert len(resolve_first(given, small, make_settings(), FACTS, REQUIRE)) == 2


def test_more_configurations_than_trials_are_refused(make_settings):
    given = [("file", {**GIVEN, "batch_size": size}) for size in (2, 4, 6)]
    with pytest.raises(ConfigError, match="--trials 2: there are 3 configurations to try first; use --trials 3"):
        resolve_first(given, small, make_settings(trials=2), FACTS, REQUIRE)
    assert len(resolve_first(given, small, make_settings(trials=3), FACTS, REQUIRE)) == 3


def test_configuration_that_the_data_cannot_train_is_refused_with_where_it_is_from(make_settings):
    with pytest.raises(ConfigError, match=r"^best\.json: crop_size=128 is larger than the shorter side of .* 96"):
        resolve({**GIVEN, "crop_size": 128}, make_settings)


def test_configuration_whose_weights_cannot_be_had_is_refused_with_where_it_is_from(make_settings):
    with pytest.raises(WeightsError, match=r"^best\.json: weights='/nowhere/a\.safetensors' is no file"):
        resolve({**GIVEN, "weights": "/nowhere/a.safetensors"}, make_settings)


def test_what_best_prints_for_programs_is_read_as_its_file_is(tmp_path):
    best = {"trial": 3, "values": {**TrainConfig.from_values(GIVEN).values(), "patience_epochs": 0}}
    for name, document in (("best.json", best), ("printed.json", {"form": 1, "file": "best.json", "best": best})):
        (tmp_path / name).write_text(json.dumps(document))
    assert read_prior(tmp_path / "printed.json") == read_prior(tmp_path / "best.json")


def test_best_json_and_plain_values_are_read(tmp_path):
    winner = {"trial": 3, "values": {**TrainConfig.from_values(GIVEN).values(), "patience_epochs": 0}}
    (tmp_path / "best.json").write_text(json.dumps(winner))
    (tmp_path / "values.json").write_text(json.dumps(GIVEN))
    assert read_prior(tmp_path / "values.json") == GIVEN
    found = read_prior(tmp_path / "best.json")
    assert found.items() >= GIVEN.items()
    assert "patience_epochs" not in found, "it is that of the retraining"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "cannot be read"),
        ("[1]", "it holds [1], no object"),
        ("null", "it holds null, no object"),
        ("{}", "it gives no value"),
        ('{"values": {}}', "it gives no value"),
        ('{"epochs": 9, "seed": 1}', "it gives no value but what all trials have"),
        ('{"best": {"values": {}}}', "it gives no value"),
        ('{"values": []}', "its values are [], no object"),
        ('{"values": null}', "its values are null, no object"),
        ('{"batch_size": 2, "batch_size": 4}', "'batch_size' occurs twice"),
        ('{"a":' * 100_000, "recursion"),
        ('{"bakbone": "resnet18"}', "did you mean backbone"),
        ('{"batch_size": 0}', "batch_size=0"),
        ('{"values": {"batch_size": "many"}}', "batch_size='many'"),
    ],
)
def test_file_that_holds_no_configuration_is_refused(tmp_path, content, told):
    file = tmp_path / "values.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"--seed-config .*values\.json") as caught:
        read_prior(file)
    assert told in str(caught.value)


def test_configuration_may_begin_with_the_mark_that_windows_writes(tmp_path):
    (tmp_path / "values.json").write_text(json.dumps(GIVEN), encoding="utf-8-sig")
    assert read_prior(tmp_path / "values.json") == GIVEN


def test_pipe_in_place_of_a_configuration_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "values.json")
    with pytest.raises(ConfigError, match="no regular file"):
        read_prior(tmp_path / "values.json")


def test_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_prior(tmp_path / "none.json")


KNOWN = ({"learning_rate": 2e-3, "input_mode": "full"}, {**GIVEN, "crop_size": 64}, {"input_mode": "crop"})


@pytest.fixture
def know(monkeypatch, make_settings):
    """Return a function that gives what is tried first in a space of which some configurations are known to be good."""

    def resolve_known(configurations, *given, trials=20, **changes):
        monkeypatch.setitem(first.KNOWN_GOOD, "mine", configurations)
        settings = make_settings(space="mine", trials=trials, **changes)
        beside = (small, settings, FACTS, REQUIRE)
        return add_known(resolve_first([("best.json", each) for each in given], *beside), *beside)

    return resolve_known


def test_what_is_known_of_a_space_comes_behind_what_was_given_and_the_space_draws_the_rest(know):
    found = know(KNOWN, {"learning_rate": 1e-3})
    assert [each["values"]["learning_rate"] for each in found[:3]] == [1e-3, 2e-3, 2e-3]
    assert [each["values"]["input_mode"] for each in found[1:]] == ["full", "crop", "crop"]
    assert all(each["drawable"] for each in found[1:])
    assert found == know(KNOWN, {"learning_rate": 1e-3})


@pytest.mark.parametrize(
    ("trials", "known", "count"), [(20, 3, 3), (20, 2, 2), (20, 0, 0), (5, 3, 2), (4, 3, 2), (1, 3, 0)]
)
def test_half_of_the_trials_at_least_are_drawn(know, trials, known, count):
    assert len(know(KNOWN, trials=trials, known=known)) == count


@pytest.mark.parametrize(
    "unfit",
    [{"learning_rate": 0.5}, {"optimizer": "sgd"}, {"input_mode": "crop", "crop_size": 96}, {"batch_size": 3}],
    ids=["rate", "optimizer", "crop", "batch"],
)
def test_what_a_space_cannot_draw_for_the_data_is_left_out(know, unfit):
    assert know((unfit, KNOWN[1])) == know((KNOWN[1],))


def test_what_is_given_already_is_not_tried_again(know):
    assert len(know((GIVEN,), GIVEN)) == 1
    assert know((), GIVEN) == know((GIVEN,), GIVEN)


def test_other_spaces_know_nothing(know, make_settings):
    know(KNOWN)
    assert add_known([], small, make_settings(space="other", trials=20), FACTS, REQUIRE) == []


def test_no_network_is_built_for_what_is_not_to_be_tried(monkeypatch, make_settings):
    """To see whether a configuration can be trained takes seconds."""
    monkeypatch.setitem(first.KNOWN_GOOD, "mine", KNOWN)
    looked_at = []
    add_known([], small, make_settings(space="mine", trials=20, known=1), FACTS, looked_at.append)
    assert len(looked_at) == 1
