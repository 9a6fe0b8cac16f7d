import math

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from search.memory.events import Asked, Reopened
from search.memory.history import TrialRecord
from search.memory.outcome import Outcome
from search.propose.proposer import Proposer
from search.run.queue import TrialQueue
from search.space.draw import draw_config
from segcore.errors import ConfigError
from spaces.street import street

FACTS = {"smallest_side": 512}
EPOCHS = 9
"""The first landmark is the first epoch."""


def make_proposer(space, settings) -> Proposer:
    def draw(trial: optuna.Trial) -> dict:
        return draw_config(space, trial, settings).values()

    return Proposer(draw, seed=settings.seed, facts=FACTS, epochs=9)


def score_of(values: dict, epoch: int) -> float:
    """A made-up landscape: the best rate is 1e-3, ce helps, and training helps."""
    distance = abs(math.log10(values["learning_rate"]) + 3)
    return 0.5 - 0.1 * distance + 0.05 * (values["loss"] == "ce") + 0.01 * epoch


class Search:
    """Runs a proposer over a made-up landscape and writes a journal, event by event."""

    def __init__(self, settings, script) -> None:
        self.proposer = make_proposer(street, settings)
        self.script = script
        self.asked: dict[int, dict] = {}

    def ask(self, number: int) -> None:
        values, params = self.proposer.ask(number)
        self.asked[number] = values
        content = {"trial": number, "fold": 0, "values": values, "params": params, "ahead": self.proposer.ahead}
        self.script.journal.write(Asked(**content))

    def epoch(self, number: int, epoch: int) -> None:
        score = score_of(self.asked[number], epoch)
        self.script.epochs(number, score, first=epoch)
        self.proposer.observe(number, epoch, score)

    def reopen(self, number: int) -> None:
        self.script.journal.write(Reopened(trial=number))
        self.proposer.reopen(number)

    def end(self, number: int, outcome: Outcome) -> None:
        record = self.script.journal.history.trials[number]
        self.proposer.close(number, outcome, record.best.iou if record.best else None)
        self.script.end(number, str(outcome))


@pytest.fixture
def search(make_settings, script) -> Search:
    return Search(make_settings(seed=3), script)


def replay(search: Search, settings) -> Proposer:
    """What a resumed search does: everything from the journal, in order of the trials' numbers."""
    proposer = make_proposer(street, settings)
    for _, record in sorted(search.script.journal.history.trials.items()):
        proposer.replay(record)
    return proposer


def test_replayed_proposer_draws_what_the_uninterrupted_one_draws(search, make_settings):
    """Resumed before each of 30 trials: events of two or three trials interleaved, every kind of outcome, some still
    running, some taken up again, while draws are random and when the model has taken over, and amid its proposals."""
    outcomes = [Outcome.FINISHED, Outcome.STOPPED, Outcome.FINISHED, Outcome.DIVERGED, Outcome.STOPPED]
    batches = set()
    for number in range(30):
        replayed = replay(search, make_settings(seed=3))
        assert replayed.ahead == search.proposer.ahead
        expected = replayed.ask(number)
        search.ask(number)
        record = search.script.journal.history.trials[number]
        assert (record.values, record.params) == expected, f"at trial {number}"
        batches.add(len(record.ahead))
        search.epoch(number, 1)
        if number >= 2:
            # The one before the last goes on and ends while the last runs.
            search.epoch(number - 2, 2)
            search.end(number - 2, outcomes[number % 5])
        if number >= 4 and outcomes[(number - 2) % 5] is Outcome.STOPPED:
            search.reopen(number - 4)
            search.epoch(number - 4, 3)
            if number % 2:
                search.end(number - 4, Outcome.STOPPED)
    assert batches == {0, 1, 2, 3, 4, 5}, "trials of whole batches were asked for"


def test_proposals_are_asked_for_one_after_the_other_before_the_model_is_asked_again(make_settings):
    proposer, drawn = make_proposer(failing_rates, make_settings(seed=3)), []
    for number in range(30):
        before = [*proposer.ahead]
        _, params = proposer.ask(number)
        if before and before[0] == params:
            assert proposer.ahead == before[1:]
            drawn.append("next")
        elif proposer.ahead == before:
            drawn.append("random")
        else:
            assert (before, len(proposer.ahead)) == ([], 5)
            drawn.append("first")
        proposer.observe(number, 1, 0.01 * number)
        proposer.close(number, Outcome.FINISHED, 0.01 * number)
    assert drawn[:12] == ["random"] * 12
    proposed = [each for each in drawn if each != "random"]
    assert proposed == (["first", *["next"] * 5] * 3)[: len(proposed)]
    assert "random" in drawn[12:] and len(proposed) >= 7


def test_draws_are_random_until_eight_trials_have_got_to_the_first_landmark(make_settings):
    """Of 27 epochs it is at the third."""

    def draw(trial: optuna.Trial) -> dict:
        return draw_config(street, trial, make_settings()).values()

    proposer = Proposer(draw, seed=3, facts=FACTS, epochs=27)
    for number in range(20):
        proposer.ask(number)
        for epoch in range(1, 4 if number < 7 else 3):
            proposer.observe(number, epoch, 0.01 * number)
        assert proposer.ahead == []
    proposer.observe(7, 3, 0.5)
    for number in range(20, 22):
        proposer.ask(number)
    assert len(proposer.ahead) in (4, 5)


def test_what_the_model_advised_is_asked_one_after_the_other(make_settings, script):
    """What is ahead after an ask is what the next asks give, but for every fourth, which is drawn at random."""
    search = Search(make_settings(seed=3), script)
    for number in range(14):
        search.ask(number)
        search.epoch(number, 1)
    before = list(search.proposer.ahead)
    assert before, "the model has been asked"
    search.ask(14)
    guided = search.script.journal.history.trials[14].params == before[0]
    assert search.proposer.ahead == (before[1:] if guided else before)


def test_nothing_is_advised_before_trials_have_got_to_the_first_landmark(make_settings, script):
    """Of 27 epochs it is the third; eight trials must have got there."""

    def ahead_after(landed: int) -> list[dict]:
        proposer = Proposer(lambda trial: {"x": trial.suggest_float("x", 0, 1)}, seed=1, facts={}, epochs=27)
        for number in range(20):
            proposer.ask(number)
        for number in range(20):
            for epoch in range(1, 4 if number < landed else 2):
                proposer.observe(number, epoch, 0.1 * epoch + 0.01 * number)
        for number in range(20, 30):
            proposer.ask(number)
        return proposer.ahead

    assert ahead_after(7) == []
    assert ahead_after(8) != []


def test_a_trial_that_is_taken_up_again_learns_on(make_settings):
    proposer = make_proposer(street, make_settings())
    proposer.ask(0)
    proposer.observe(0, 1, 0.5)
    proposer.close(0, Outcome.STOPPED, 0.5)
    proposer.reopen(0)
    (trial,) = proposer.trials
    assert (trial.state, trial.intermediate_values) == (TrialState.RUNNING, {1: 0.5})
    proposer.observe(0, 2, 0.7)
    proposer.close(0, Outcome.FINISHED, 0.7)
    (trial,) = proposer.trials
    assert (trial.state, trial.value, trial.intermediate_values) == (TrialState.COMPLETE, 0.7, {1: 0.5, 2: 0.7})


def test_draws_depend_on_the_past_once_there_is_enough_of_it(make_settings, script):
    """Guards the test above: the model is at work, so a replay that loses scores would draw otherwise."""
    search = Search(make_settings(seed=3), script)
    for number in range(15):
        search.ask(number)
        search.epoch(number, 1)
        search.end(number, Outcome.FINISHED)
    forgetful = make_proposer(street, make_settings(seed=3))
    assert forgetful.ask(15) != search.proposer.ask(15)


def test_first_draws_are_a_function_of_the_seed(make_settings):
    draws = [make_proposer(street, make_settings(seed=seed)).ask(0) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_trials_of_one_search_differ(make_settings):
    proposer = make_proposer(street, make_settings())
    rates = {proposer.ask(number)[0]["learning_rate"] for number in range(20)}
    assert len(rates) == 20


def test_the_model_learns_where_scores_are_high(search):
    """The landscape's best rate is 1e-3 of 1e-4 to 3e-3; random draws lie 0.39 decades off on average."""
    for number in range(40):
        search.ask(number)
        search.epoch(number, 1)
        search.end(number, Outcome.FINISHED)
    distances = [abs(math.log10(search.asked[number]["learning_rate"]) + 3) for number in range(40)]
    assert sum(distances[25:]) / 15 < sum(distances[:10]) / 10


@pytest.mark.parametrize(
    ("outcome", "best", "state", "value"),
    [
        (Outcome.FINISHED, 0.7, TrialState.COMPLETE, 0.7),
        # Optuna gives a pruned trial the last score it reported.
        (Outcome.STOPPED, 0.7, TrialState.PRUNED, 0.6),
        (Outcome.FAILED, 0.7, TrialState.FAIL, None),
        (Outcome.DIVERGED, 0.7, TrialState.FAIL, None),
        (Outcome.OUT_OF_MEMORY, None, TrialState.FAIL, None),
        (Outcome.FINISHED, None, TrialState.FAIL, None),
        (Outcome.STOPPED, None, TrialState.FAIL, None),
        (Outcome.OVER_LIMIT, None, TrialState.FAIL, None),
    ],
)
def test_how_outcomes_are_told_to_optuna(make_settings, outcome, best, state, value):
    proposer = make_proposer(street, make_settings())
    proposer.ask(0)
    if best is not None:
        proposer.observe(0, 1, best)
        proposer.observe(0, 2, 0.6)
    proposer.close(0, outcome, best)
    (trial,) = proposer.trials
    assert trial.state is state
    assert trial.value == value


def test_nan_teaches_nothing_and_leaves_nothing_running(make_settings):
    proposer = make_proposer(street, make_settings())
    proposer.ask(0)
    proposer.observe(0, 1, math.nan)
    assert proposer.trials[0].intermediate_values == {}
    proposer.close(0, Outcome.STOPPED, None)
    assert [trial.state for trial in proposer.trials] == [TrialState.FAIL]


def test_no_outcome_leaves_a_trial_running(make_settings):
    proposer = make_proposer(street, make_settings())
    for number, outcome in enumerate(Outcome):
        proposer.ask(number)
        proposer.observe(number, 1, 0.5)
        proposer.close(number, outcome, 0.5)
    assert len(proposer.trials) == len(Outcome)
    assert [trial for trial in proposer.trials if not trial.state.is_finished()] == []


def test_replayed_trial_is_as_it_was(make_settings, make_history):
    asked = make_proposer(street, make_settings())
    values, params = asked.ask(0)

    def write(script):
        script.journal.write(Asked(trial=0, fold=0, values=values, params=params))
        script.epochs(0, 0.4, None, 0.6)
        script.end(0, "stopped by ASHA", "rank 3 of 3")

    proposer = make_proposer(street, make_settings())
    proposer.replay(make_history(write).trials[0])
    (trial,) = proposer.trials
    assert trial.params == params
    assert trial.intermediate_values == {1: 0.4, 3: 0.6}
    assert trial.state is TrialState.PRUNED


def test_trial_that_goes_on_keeps_what_it_was_and_learns_on(make_settings):
    proposer = make_proposer(street, make_settings())
    params = [proposer.ask(number)[1] for number in range(2)]
    proposer.observe(0, 1, 0.4)
    proposer.close(0, Outcome.STOPPED, 0.4)
    proposer.reopen(0)
    assert [trial.state for trial in proposer.trials] == [TrialState.RUNNING, TrialState.RUNNING]
    assert [trial.params for trial in proposer.trials] == params
    proposer.observe(0, 2, 0.6)
    assert proposer.trials[0].intermediate_values == {1: 0.4, 2: 0.6}
    proposer.close(0, Outcome.FINISHED, 0.6)
    assert [(trial.state, trial.value) for trial in proposer.trials] == [
        (TrialState.COMPLETE, 0.6),
        (TrialState.RUNNING, None),
    ]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.DIVERGED])
def test_trial_that_went_on_counts_as_one_that_never_waited(make_settings, outcome):
    """The proposer proposes the same whether a trial was stopped and went on, or was never stopped."""
    draws = []
    for waits in (False, True):
        proposer = make_proposer(street, make_settings(seed=3))
        for number in range(14):
            proposer.ask(number)
            proposer.observe(number, 1, 0.01 * number)
            if number == 13 and waits:
                proposer.close(number, Outcome.STOPPED, 0.13)
                proposer.reopen(number)
            proposer.observe(number, 2, 0.2 - 0.01 * number)
            proposer.close(number, Outcome.FINISHED if number < 13 else outcome, 0.2)
        draws.append([proposer.ask(number) for number in range(14, 18)])
    assert draws[0] == draws[1]


def test_unfinished_trial_is_running_after_a_replay_and_can_end(make_settings):
    values, params = make_proposer(street, make_settings()).ask(0)
    proposer = make_proposer(street, make_settings())
    proposer.replay(TrialRecord(number=0, fold=0, values=values, params=params, started=0.0))
    assert [trial.state for trial in proposer.trials] == [TrialState.RUNNING]
    proposer.observe(0, 1, 0.5)
    proposer.close(0, Outcome.FINISHED, 0.5)
    assert [trial.state for trial in proposer.trials] == [TrialState.COMPLETE]


def failing_rates(trial: optuna.Trial) -> dict:
    trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
    trial.suggest_float("encoder_rate_factor", 0.1, 1.0)
    return {}


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.OUT_OF_MEMORY, Outcome.FAILED])
def test_a_region_whose_trials_fail_is_left(make_settings, outcome):
    """Rates above 1e-3, half of the range, fail: at random 15 of 30 draws would, and 4 of those that remain random."""
    proposer = make_proposer(failing_rates, make_settings())
    failed = []
    for number in range(50):
        fails = proposer.ask(number)[0]["learning_rate"] > 1e-3
        if not fails:
            proposer.observe(number, 1, 0.5 + 0.001 * number)
        proposer.close(number, outcome if fails else Outcome.FINISHED, None if fails else 0.5)
        failed.append(fails)
    assert sum(failed[20:]) < 8


def test_a_worker_that_failed_after_a_score_leaves_the_score(make_settings):
    """The proposer proposes the same whether the last trial finished or its worker failed."""
    draws = []
    for outcome in (Outcome.FAILED, Outcome.FINISHED):
        proposer = make_proposer(failing_rates, make_settings())
        for number in range(16):
            proposer.ask(number)
            proposer.observe(number, 1, 0.01 * number)
            proposer.close(number, Outcome.FINISHED if number < 15 else outcome, 0.01 * number)
        draws.append(proposer.ask(16))
    assert draws[0] == draws[1]


def dependent_ranges(trial: optuna.Trial) -> dict:
    size = trial.suggest_categorical("crop_size", (256, 512))
    trial.suggest_int("batch_size", 1, 16 if size == 256 else 4)
    return {"input_mode": "crop"}


def test_ranges_that_depend_on_each_other_are_kept_and_used(make_settings):
    """The score rises with the batch and the crop: the best allowed is 4 at 512, 20.5, after 16 at 256, 16."""
    proposer, asked = make_proposer(dependent_ranges, make_settings()), []
    for number in range(40):
        _, params = proposer.ask(number)
        assert params["batch_size"] <= (16 if params["crop_size"] == 256 else 4)
        score = 0.01 * (params["batch_size"] + 16.5 * (params["crop_size"] == 512))
        proposer.observe(number, 1, score)
        proposer.close(number, Outcome.FINISHED, score)
        asked.append(params)
    assert max(params["batch_size"] for params in asked if params["crop_size"] == 256) > 12
    assert {"crop_size": 512, "batch_size": 4} in asked


def rarely_wide(trial: optuna.Trial) -> dict:
    augmentation = trial.suggest_categorical("augmentation", ("none", "flip", "light", "strong"))
    trial.suggest_int("batch_size", 1, 64 if augmentation == "strong" else 4)
    return {}


def test_model_knows_the_widest_range(make_settings):
    """One draw in four has it; the last one that the model sees has not."""
    advisor = make_proposer(rarely_wide, make_settings())._get_to_know_space()
    codes = {size: advisor.encode({"augmentation": "strong", "batch_size": size})[1] for size in (1, 4, 64)}
    assert 0 < codes[1] < codes[4] < 0.06 < 0.98 < codes[64] < 1


def test_value_that_the_space_no_longer_draws_is_another_space(make_settings):
    params = {"crop_size": 512, "batch_size": 9}
    with pytest.raises(ConfigError, match=r"restore it, or launch a new search.*batch_size=9 is not in IntDistr"):
        make_proposer(dependent_ranges, make_settings()).replay(
            TrialRecord(number=0, fold=0, values={}, params=params, started=0.0)
        )


def no_choice(trial: optuna.Trial) -> dict:
    return {}


def test_space_without_a_parameter_is_asked_for_ever(make_settings):
    proposer = make_proposer(no_choice, make_settings())
    for number in range(14):
        values, params = proposer.ask(number)
        assert (values["learning_rate"] > 0, params) == (True, {})
        proposer.observe(number, 1, 0.5)
        proposer.close(number, Outcome.FINISHED, 0.5)


def sixteen(trial: optuna.Trial) -> dict:
    trial.suggest_int("batch_size", 1, 16)
    return {}


def test_no_configuration_is_tried_twice_before_the_space_is_exhausted(make_settings):
    """Sixteen configurations; the last draws find theirs among the model's proposals."""
    proposer, sizes = make_proposer(sixteen, make_settings()), []
    for number in range(17):
        sizes.append(proposer.ask(number)[1]["batch_size"])
        proposer.observe(number, 1, 0.5 + 0.01 * sizes[-1])
        proposer.close(number, Outcome.FINISHED, 0.5)
    assert sorted(sizes[:12]) == sorted(set(sizes[:12]))
    assert len(set(sizes)) >= 15
    assert len(sizes) == 17, "an exhausted space repeats"


def half_broken(trial: optuna.Trial) -> dict:
    size = trial.suggest_int("batch_size", 0, 9)
    return {"batch_size": 0} if size < 5 else {}


def test_draws_that_are_no_configuration_are_drawn_again_and_forgotten(make_settings):
    """Half of the draws have batch_size 0: 20 in a row without one are a chance of 1 in a million."""
    proposer = make_proposer(half_broken, make_settings())
    sizes = [proposer.ask(number)[0]["batch_size"] for number in range(20)]
    assert min(sizes) >= 5
    assert [trial.params["batch_size"] for trial in proposer.trials] == sizes


def test_space_that_never_draws_a_configuration_is_refused_with_the_last_problem(make_settings):
    proposer = make_proposer(lambda trial: {"batch_size": 0}, make_settings())
    with pytest.raises(ConfigError, match=r"100 draws gave no configuration; the last: .*batch_size=0"):
        proposer.ask(0)


def make_queue(count: int, max_concurrent: int) -> TrialQueue:
    waiting = [{"trial": number} for number in range(count)]
    return TrialQueue(lambda: waiting.pop(0) if waiting else None, max_concurrent)


def test_queue_hands_out_no_more_trials_than_allowed_at_a_time():
    queue = make_queue(4, 2)
    assert [queue.suggest(name) for name in "abc"] == [{"trial": 0}, {"trial": 1}, None]
    queue.on_trial_complete("a")
    assert [queue.suggest(name) for name in "cd"] == [{"trial": 2}, None]
    queue.on_trial_complete("b", error=True)
    assert queue.suggest("d") == {"trial": 3}


def test_queue_says_when_there_is_nothing_left():
    queue = make_queue(1, 2)
    # While a trial lives, its end may let another go on that waits.
    assert [queue.suggest("a"), queue.suggest("b")] == [{"trial": 0}, None]
    queue.on_trial_complete("a")
    assert queue.suggest("b") == Searcher.FINISHED


def test_queue_asks_for_nothing_before_there_is_room():
    """A configuration drawn early would not know the scores that come in meanwhile."""
    asked: list[int] = []
    queue = TrialQueue(lambda: {"trial": asked.append(0)}, 1)
    queue.suggest("a")
    queue.suggest("b")
    assert len(asked) == 1


def other_rates(trial):
    trial.suggest_float("learning_rate", 1e-6, 1e-5, log=True)


def other_names(trial):
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    trial.suggest_categorical("loss", ("ce", "focal"))


def other_classes(trial):
    trial.suggest_categorical("backbone", ("resnet50",))


@pytest.mark.parametrize("space", [other_rates, other_names, other_classes])
def test_resume_with_another_space_is_refused(make_settings, space):
    params = {"learning_rate": 1e-3, "backbone": "resnet18"}
    record = TrialRecord(number=0, fold=0, values={}, params=params, started=0.0)
    with pytest.raises(
        ConfigError, match="not the one that this search began with; restore it, or launch a new search"
    ):
        make_proposer(space, make_settings()).replay(record)
