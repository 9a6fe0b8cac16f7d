import math
from collections.abc import Callable, Iterable
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.memory.events import Asked, CheckpointSaved, Dropped, Ended, Epoch, Event, Reopened, encode_event
from search.memory.history import History
from search.memory.journal import replay
from search.memory.outcome import Outcome
from search.propose.proposer import Proposal, Proposer
from search.settings import build_settings
from search.space.draw import draw, draw_config
from segcore.errors import ConfigError
from spaces.street import street

FACTS = {"smallest_side": 512}
EPOCHS = 9
"""The first landmark is the first epoch."""


def make_proposer(space, settings, *, epochs: int = EPOCHS, weighs_latency: bool = False) -> Proposer:
    def draw_anew(given, seed):
        return draw(lambda trial: draw_config(space, trial, settings).values(), FACTS, seed=seed, given=given)

    return Proposer(draw_anew, seed=settings.seed, epochs=epochs, weighs_latency=weighs_latency, metric="iou")


def score_of(values: dict, epoch: int) -> float:
    """A made-up landscape: the best rate is 1e-3, ce helps, and training helps."""
    distance = abs(math.log10(values["learning_rate"]) + 3)
    return 0.5 - 0.1 * distance + 0.05 * (values["loss"] == "ce") + 0.01 * epoch


class Told:
    """A proposer that is told what happens to its trials, as the journal of a search tells it.

    Args:
        proposer: the proposer.
    """

    def __init__(self, proposer: Proposer) -> None:
        self.proposer = proposer
        self.events: list[Event] = []
        self.ahead: list[dict[str, Any]] = []

    def tell(self, event: Event) -> None:
        self.events.append(event)
        self.proposer.apply(event)

    def ask(self, number: int) -> Proposal:
        """Have a trial proposed, and tell that it was asked for."""
        found = self.proposer.ask(number)
        self.ahead = found.ahead
        self.tell(Asked(trial=number, fold=0, values=found.values, params=found.params, ahead=found.ahead))
        return found

    def epoch(self, number: int, epoch: int, score: float | None, latency_ms: float | None = None) -> None:
        metrics = {"iou": score, "latency_ms": latency_ms}
        known = {name: value for name, value in metrics.items() if value is not None}
        self.tell(Epoch(trial=number, epoch=epoch, metrics=known))

    def end(self, number: int, outcome: Outcome = Outcome.FINISHED) -> None:
        self.tell(Ended(trial=number, outcome=outcome))

    def reopen(self, number: int) -> None:
        self.tell(Reopened(trial=number))

    def finish(self, number: int, *scores: float) -> None:
        for epoch, score in enumerate(scores, start=1):
            self.epoch(number, epoch, score)
        self.end(number)


def proposals(told: Told, numbers: Iterable[int]) -> list[Proposal]:
    return [told.proposer.ask(number) for number in numbers]


@pytest.fixture
def rebuild(tmp_path) -> Callable[[list[Event], Proposer], Proposer]:
    """Return a function that writes events into a journal and tells a proposer what is read from it."""
    file = tmp_path / "journal.jsonl"

    def build(events: list[Event], proposer: Proposer) -> Proposer:
        file.write_bytes(b"".join(encode_event(event) + b"\n" for event in events))
        replay(file, History("iou"), proposer)
        return proposer

    return build


OUTCOMES = (Outcome.FINISHED, Outcome.STOPPED, Outcome.FINISHED, Outcome.DIVERGED, Outcome.STOPPED)


def live(told: Told, number: int) -> Proposal:
    """Ask for a trial and let others go on: two or three are always interleaved, with every kind of end."""
    found = told.ask(number)
    values = {event.trial: event.values for event in told.events if isinstance(event, Asked)}
    told.epoch(number, 1, score_of(values[number], 1))
    if number >= 2:
        # The one before the last goes on and ends while the last runs.
        told.epoch(number - 2, 2, score_of(values[number - 2], 2))
        told.tell(CheckpointSaved(trial=number - 2, epoch=2, path="checkpoint"))
        told.end(number - 2, OUTCOMES[number % 5])
    if number >= 4 and OUTCOMES[(number - 2) % 5] is Outcome.STOPPED:
        told.reopen(number - 4)
        told.epoch(number - 4, 3, score_of(values[number - 4], 3))
        if number % 2:
            told.end(number - 4, Outcome.STOPPED)
            told.tell(Dropped(trial=number - 4))
    return found


def test_killed_search_proposes_what_the_uninterrupted_one_does(make_settings, rebuild):
    """Killed before each of 30 trials: while draws are random, when the model has taken over, and amid its proposals;
    one that is killed again and again has no memory but the journal."""
    settings = make_settings(seed=3)
    told, batches = Told(make_proposer(street, settings)), set()
    for number in range(30):
        rebuilt = rebuild(told.events, make_proposer(street, settings))
        assert rebuilt.ask(number) == live(told, number), f"at trial {number}"
        batches.add(len(told.ahead))
    assert batches == {0, 1, 2, 3, 4, 5}, "trials of whole batches were asked for"


def test_search_that_is_killed_again_and_again_proposes_what_the_uninterrupted_one_does(make_settings, rebuild):
    settings = make_settings(seed=3)
    whole, killed = (Told(make_proposer(street, settings)) for _ in range(2))
    for number in range(30):
        if number in (3, 13, 14, 17, 21, 22, 28):
            killed.proposer = rebuild(killed.events, make_proposer(street, settings))
        assert live(killed, number) == live(whole, number)


@pytest.fixture(scope="module")
def lived() -> tuple[Callable[[], Proposer], list[Event]]:
    """What makes a proposer, and the events of 22 trials."""
    settings = build_settings({"name": "lived", "search_id": "1d", "seed": 3})
    told = Told(make_proposer(street, settings))
    for number in range(22):
        live(told, number)
    return lambda: make_proposer(street, settings), told.events


@given(cut=st.integers(0, 200), asked=st.sets(st.integers(0, 200), max_size=3))
@settings(max_examples=10)
def test_events_cut_at_any_place_and_asks_in_between_change_no_proposal(lived, tmp_path_factory, cut, asked):
    """One proposer learns all events, another those before a cut from a file, and is asked here and there."""
    make, events = lived
    whole, killed = make(), make()
    file = tmp_path_factory.mktemp("cut") / "journal.jsonl"
    file.write_bytes(b"".join(encode_event(event) + b"\n" for event in events[:cut]))
    replay(file, killed)
    for place, event in enumerate(events):
        if place >= cut:
            if place in asked:
                killed.ask(22)
            killed.apply(event)
        whole.apply(event)
    assert [killed.ask(number) for number in (22, 23)] == [whole.ask(number) for number in (22, 23)]


def test_asking_teaches_nothing_until_it_is_told(make_settings):
    """Asked twice it proposes the same, random, at the begin of a batch and amid one; another number is another."""
    told, kinds = Told(make_proposer(street, make_settings(seed=3))), set()
    for number in range(20):
        before = [*told.ahead]
        first, other, again = proposals(told, (number, number + 1, number))
        assert first == again
        assert first.values != other.values or first.ahead, "two are alike only where both are the model's next"
        kinds.add("random" if first.ahead == before else "next" if first.ahead == before[1:] else "first")
        assert told.ask(number) == first
        told.finish(number, score_of(first.values, 1))
    assert kinds == {"random", "next", "first"}


def test_what_a_proposal_says_is_its_own(make_settings):
    """Who changes a proposal's lists changes nothing in the proposer, nor in the event that was told."""
    told = Told(make_proposer(street, make_settings(seed=3)))
    for number in range(14):
        told.ask(number)
        told.finish(number, 0.01 * number)
    expected = proposals(told, range(14, 17))
    for found in proposals(told, range(14, 17)):
        found.ahead.clear()
    assert proposals(told, range(14, 17)) == expected


def test_proposals_are_asked_for_one_after_the_other_before_the_model_is_asked_again(make_settings):
    told, drawn = Told(make_proposer(failing_rates, make_settings(seed=3))), []
    for number in range(30):
        before = [*told.ahead]
        params = told.ask(number).params
        if before and before[0] == params:
            assert told.ahead == before[1:]
            drawn.append("next")
        elif told.ahead == before:
            drawn.append("random")
        else:
            assert (before, len(told.ahead)) == ([], 5)
            drawn.append("first")
        told.finish(number, 0.01 * number)
    assert drawn[:12] == ["random"] * 12
    proposed = [each for each in drawn if each != "random"]
    assert proposed == (["first", *["next"] * 5] * 3)[: len(proposed)]
    assert "random" in drawn[12:] and len(proposed) >= 7


def test_draws_are_random_until_eight_trials_have_got_to_the_first_landmark(make_settings):
    """Of 27 epochs it is at the third."""
    told = Told(make_proposer(street, make_settings(seed=3), epochs=27))
    for number in range(20):
        assert told.ask(number).ahead == []
        for epoch in range(1, 4 if number < 7 else 3):
            told.epoch(number, epoch, 0.01 * number)
    told.epoch(7, 3, 0.5)
    for number in range(20, 22):
        told.ask(number)
    assert len(told.ahead) in (4, 5)


def test_trial_that_is_trained_again_from_before_the_landmark_has_not_got_there(make_settings):
    """Eight at the third of 27 epochs are enough for the model; one of them is trained again from its second on."""

    def ahead_after(again: bool) -> list[dict]:
        told = Told(make_proposer(street, make_settings(seed=3), epochs=27))
        for number in range(20):
            told.ask(number)
        for number in range(20):
            for epoch in range(1, 4 if number < 8 else 2):
                told.epoch(number, epoch, 0.01 * number)
        if again:
            told.epoch(7, 2, 0.5)
        return [advice for found in proposals(told, range(20, 24)) for advice in found.ahead]

    assert ahead_after(False) != []
    assert ahead_after(True) == []


def test_draws_depend_on_the_past_once_there_is_enough_of_it(make_settings):
    """Guards the tests above: the model is at work, so one that loses scores would draw otherwise."""
    told = Told(make_proposer(street, make_settings(seed=3)))
    for number in range(15):
        told.finish(number, score_of(told.ask(number).values, 1))
    forgetful = make_proposer(street, make_settings(seed=3))
    assert [forgetful.ask(number) for number in range(15, 19)] != proposals(told, range(15, 19))


def few(trial: optuna.Trial) -> dict[str, object]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "loss": trial.suggest_categorical("loss", ("ce", "focal")),
        "decoder": trial.suggest_categorical("decoder", ("unet",)),
    }


def test_proposals_of_a_crowded_space_are_judged_later_than_random_draws(make_settings):
    """Of 27 epochs the first landmark is 3; two parameters are crowded by 5 trials, thirteen by none so few."""
    first_rungs = {}
    for space in (few, street):
        told = Told(make_proposer(space, make_settings(), epochs=27))
        for number in range(40):
            found = told.ask(number)
            is_guided = told.proposer._is_guided(number)
            first_rungs.setdefault((space, is_guided), set()).add(found.first_rung)
            told.finish(number, *[score_of(found.values, epoch) for epoch in range(1, 5)])
    assert first_rungs == {(few, False): {0}, (few, True): {6}, (street, False): {0}, (street, True): {0}}


def test_first_draws_are_a_function_of_the_seed(make_settings):
    draws = [make_proposer(street, make_settings(seed=seed)).ask(0) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_trials_of_one_search_differ(make_settings):
    told = Told(make_proposer(street, make_settings()))
    assert len({told.ask(number).values["learning_rate"] for number in range(20)}) == 20


def test_the_model_learns_where_scores_are_high(make_settings):
    """The landscape's best rate is 1e-3 of 1e-4 to 3e-3; random draws lie 0.39 decades off on average."""
    told, distances = Told(make_proposer(street, make_settings(seed=3))), []
    for number in range(40):
        values = told.ask(number).values
        told.finish(number, score_of(values, 1))
        distances.append(abs(math.log10(values["learning_rate"]) + 3))
    assert sum(distances[25:]) / 15 < sum(distances[:10]) / 10


def after(make_settings, how: Callable[[Told], None], **changes) -> list[Proposal]:
    """Return what the model advises after 13 trials of one epoch and what happened to trial 13, which was asked for."""
    told = Told(make_proposer(failing_rates, make_settings(seed=3), **changes))
    for number in range(14):
        found = told.proposer.ask(number)
        # What was advised before would be proposed first.
        told.tell(Asked(trial=number, fold=0, values=found.values, params=found.params))
        if number < 13:
            told.epoch(number, 1, 0.01 * number, 10.0 + number)
            told.end(number)
    how(told)
    return proposals(told, range(14, 18))


def test_outcomes_that_leave_the_scores_teach_the_same(make_settings):
    """Finished, stopped, a worker that failed for good, and one that still runs: the curve is what counts."""

    def ends(outcome: Outcome | None) -> Callable[[Told], None]:
        def how(told: Told) -> None:
            told.epoch(13, 1, 0.9)
            if outcome is not None:
                told.end(13, outcome)

        return how

    expected = after(make_settings, ends(None))
    for outcome in (Outcome.FINISHED, Outcome.STOPPED, Outcome.FAILED):
        assert after(make_settings, ends(outcome)) == expected


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.OUT_OF_MEMORY, Outcome.OVER_LIMIT])
def test_configuration_that_cannot_be_trained_loses_against_all_whatever_it_scored(make_settings, outcome):
    """As one that ended without a score does, and unlike one that scored so or one of which nothing is known yet."""

    def scored(told: Told) -> None:
        told.epoch(13, 1, 0.9)

    def scored_and_failed(told: Told) -> None:
        scored(told)
        told.end(13, outcome)

    found = after(make_settings, scored_and_failed)
    assert found == after(make_settings, lambda told: told.end(13, Outcome.FAILED))
    assert found != after(make_settings, scored)
    assert found != after(make_settings, lambda told: None)


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_an_epoch_without_a_score_teaches_nothing(make_settings, outcome):
    def how(told: Told, *, blind: bool) -> None:
        if blind:
            told.epoch(13, 1, None)
        if outcome is not None:
            told.end(13, outcome)

    blind, none = (after(make_settings, lambda told, blind=blind: how(told, blind=blind)) for blind in (True, False))
    assert blind == none


def test_an_epoch_without_a_score_between_others_counts_with_the_one_before(make_settings):
    def curve(*scores: float | None) -> Callable[[Told], None]:
        def how(told: Told) -> None:
            for epoch, score in enumerate(scores, start=1):
                told.epoch(13, epoch, score)

        return how

    assert after(make_settings, curve(0.9, None, 0.02)) == after(make_settings, curve(0.9, 0.9, 0.02))
    assert after(make_settings, curve(None, 0.02)) == after(make_settings, curve(0.02, 0.02))


def test_a_trial_that_was_trained_again_teaches_what_it_was_trained_last(make_settings):
    """Landmarks are at epochs 1, 2, 4, 8, 9: where a trial is compared hangs on how far it got."""

    def trained(*reports: tuple[int, float]) -> Callable[[Told], None]:
        def how(told: Told) -> None:
            for epoch, score in reports:
                told.epoch(13, epoch, score)

        return how

    assert after(make_settings, trained((1, 0.9), (1, 0.03))) == after(make_settings, trained((1, 0.03)))
    assert after(make_settings, trained((1, 0.9), (1, 0.03))) != after(make_settings, trained((1, 0.9)))
    # From the second epoch on, once it had got to the fourth.
    again = trained((1, 0.05), (2, 0.9), (3, 0.9), (4, 0.9), (2, 0.03))
    assert after(make_settings, again) == after(make_settings, trained((1, 0.05), (2, 0.03)))


def test_trial_that_is_asked_for_again_teaches_nothing_of_before(make_settings):
    def again(told: Told) -> None:
        asked = next(event for event in told.events if isinstance(event, Asked) and event.trial == 13)
        told.epoch(13, 1, 0.9, 1.0)
        told.end(13, Outcome.DIVERGED)
        told.tell(asked)

    assert after(make_settings, again) == after(make_settings, lambda told: None)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.DIVERGED])
def test_trial_that_went_on_counts_as_one_that_never_waited(make_settings, outcome):
    """The proposer proposes the same whether a trial was stopped and went on, or was never stopped."""

    def goes_on(waits: bool) -> Callable[[Told], None]:
        def how(told: Told) -> None:
            told.epoch(13, 1, 0.13)
            if waits:
                told.end(13, Outcome.STOPPED)
                told.reopen(13)
            told.epoch(13, 2, 0.9)
            told.end(13, outcome)

        return how

    assert after(make_settings, goes_on(True)) == after(make_settings, goes_on(False))


def test_failed_trial_that_is_tried_again_counts_as_one_that_runs(make_settings):
    """It ran out of memory, and goes on where there is more: what it was then counts no more."""

    def tried_again(told: Told) -> None:
        told.end(13, Outcome.OUT_OF_MEMORY)
        told.reopen(13)

    assert after(make_settings, tried_again) == after(make_settings, lambda told: None)

    def tried_again_well(told: Told) -> None:
        tried_again(told)
        told.finish(13, 0.9)

    assert after(make_settings, tried_again_well) == after(make_settings, lambda told: told.finish(13, 0.9))


def test_trials_that_the_space_could_not_have_drawn_teach_nothing(make_settings):
    """Whatever they score, and though they were asked for amid a batch of proposals."""
    draws = []
    for others in (False, True):
        told = Told(make_proposer(failing_rates, make_settings(seed=3)))
        for number in range(18):
            if others and number in (0, 5, 15):
                told.tell(Asked(trial=100 + number, fold=0, values={"x": 1}, params={}, drawable=False))
                told.epoch(100 + number, 1, 0.99)
                told.end(100 + number, Outcome.DIVERGED if number else Outcome.FINISHED)
                told.reopen(100 + number)
            told.ask(number)
            told.finish(number, 0.01 * number)
        draws.append(proposals(told, range(18, 24)))
    assert draws[0] == draws[1]


def test_latency_is_learnt_only_where_it_is_weighed(make_settings):
    def measured(latency_ms: float | None) -> Callable[[Told], None]:
        return lambda told: told.epoch(13, 1, 0.9, latency_ms)

    for weighs in (False, True):
        fast, slow, unknown = (after(make_settings, measured(each), weighs_latency=weighs) for each in (1.0, 1e3, None))
        # The best is on the first front whatever it costs; beaten by nothing, the fastest beats all in both.
        assert (fast == slow) is not weighs
        assert slow == unknown, "of which nothing is known is the slowest"


def failing_rates(trial: optuna.Trial) -> dict:
    trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
    trial.suggest_float("encoder_rate_factor", 0.1, 1.0)
    return {}


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.OUT_OF_MEMORY, Outcome.FAILED, Outcome.OVER_LIMIT])
def test_a_region_whose_trials_fail_is_left(make_settings, outcome):
    """Rates above 1e-3, half of the range, fail: at random 15 of 30 draws would, and 4 of those that remain random."""
    told, failed = Told(make_proposer(failing_rates, make_settings())), []
    for number in range(50):
        fails = told.ask(number).values["learning_rate"] > 1e-3
        if not fails:
            told.epoch(number, 1, 0.5 + 0.001 * number)
        told.end(number, outcome if fails else Outcome.FINISHED)
        failed.append(fails)
    assert sum(failed[20:]) < 8


def dependent_ranges(trial: optuna.Trial) -> dict:
    size = trial.suggest_categorical("crop_size", (256, 512))
    trial.suggest_int("batch_size", 1, 16 if size == 256 else 4)
    return {"input_mode": "crop"}


def test_ranges_that_depend_on_each_other_are_kept_and_used(make_settings):
    """The score rises with the batch and the crop: the best allowed is 4 at 512, 20.5, after 16 at 256, 16."""
    told, asked = Told(make_proposer(dependent_ranges, make_settings())), []
    for number in range(40):
        params = told.ask(number).params
        assert params["batch_size"] <= (16 if params["crop_size"] == 256 else 4)
        told.finish(number, 0.01 * (params["batch_size"] + 16.5 * (params["crop_size"] == 512)))
        asked.append(params)
    assert max(params["batch_size"] for params in asked if params["crop_size"] == 256) > 12
    assert {"crop_size": 512, "batch_size": 4} in asked


def rarely_wide(trial: optuna.Trial) -> dict:
    augmentation = trial.suggest_categorical("augmentation", ("none", "flip", "light", "strong"))
    trial.suggest_int("batch_size", 1, 64 if augmentation == "strong" else 4)
    return {}


def test_model_knows_the_widest_range(make_settings):
    """One draw in four has it; the last one that the model sees has not."""
    advisor = make_proposer(rarely_wide, make_settings())._build_advisor()
    codes = {size: advisor.encode({"augmentation": "strong", "batch_size": size})[1] for size in (1, 4, 64)}
    assert 0 < codes[1] < codes[4] < 0.06 < 0.98 < codes[64] < 1


def no_choice(trial: optuna.Trial) -> dict:
    return {}


def test_space_without_a_parameter_is_asked_for_ever(make_settings):
    told = Told(make_proposer(no_choice, make_settings()))
    for number in range(14):
        found = told.ask(number)
        assert (found.values["learning_rate"] > 0, found.params) == (True, {})
        told.finish(number, 0.5)


def sixteen(trial: optuna.Trial) -> dict:
    trial.suggest_int("batch_size", 1, 16)
    return {}


def test_no_configuration_is_tried_twice_before_the_space_is_exhausted(make_settings):
    """Sixteen configurations; the last draws find theirs among the model's proposals."""
    told, sizes = Told(make_proposer(sixteen, make_settings())), []
    for number in range(17):
        sizes.append(told.ask(number).params["batch_size"])
        told.finish(number, 0.5 + 0.01 * sizes[-1])
    assert sorted(sizes[:12]) == sorted(set(sizes[:12]))
    assert len(set(sizes)) >= 15
    assert len(sizes) == 17, "an exhausted space repeats"


def test_configuration_of_a_trial_that_is_asked_for_anew_is_free_for_others(make_settings):
    """Sixteen trials have one each; trial 0 is then asked for anew with that of trial 1, so that 1 alone is left.

    Of 20 draws one at least is 1 in 73 of 100 cases; were it tried, each of 30 asks would give it in one of 16.
    """
    told = Told(make_proposer(sixteen, make_settings()))
    for trial, size in (*enumerate(range(1, 17)), (0, 2)):
        told.tell(Asked(trial=trial, fold=0, values={}, params={"batch_size": size}))
    sizes = [found.params["batch_size"] for found in proposals(told, range(16, 46))]
    assert sizes.count(1) > 15


def half_broken(trial: optuna.Trial) -> dict:
    size = trial.suggest_int("batch_size", 0, 9)
    return {"batch_size": 0} if size < 5 else {}


def half_pruned(trial: optuna.Trial) -> dict:
    if trial.suggest_int("batch_size", 1, 9) < 5:
        raise optuna.TrialPruned
    return {}


def always_pruned(trial: optuna.Trial) -> dict:
    raise optuna.TrialPruned


@pytest.mark.parametrize("space", [half_broken, half_pruned])
def test_draws_that_are_no_configuration_or_not_wanted_are_drawn_again(make_settings, space):
    """About half of the draws are: 20 in a row without one are a chance of 1 in a million. So are the model's."""
    told = Told(make_proposer(space, make_settings()))
    for number in range(25):
        found = told.ask(number)
        assert found.values["batch_size"] == found.params["batch_size"] >= 5
        told.finish(number, 0.5 - 0.01 * found.params["batch_size"])


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (lambda trial: {"batch_size": 0}, "batch_size=0"),
        (lambda trial: {"batch_size": 1 // 0}, "failed with ZeroDivisionError"),
        (always_pruned, "raised TrialPruned"),
    ],
)
def test_space_that_never_draws_a_configuration_is_refused_with_the_last_problem(make_settings, broken, told):
    with pytest.raises(ConfigError, match=f"100 draws gave no configuration; the last: .*{told}"):
        make_proposer(broken, make_settings()).ask(0)


SIDES = ((256, 256), (512, 256), (512, 512))


def tuples(trial: optuna.Trial) -> dict:
    """Pairs of sides of which the first is meant; their plain names are JSON texts."""
    side, _ = trial.suggest_categorical("crop_size", SIDES)
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    return {"input_mode": "crop", "crop_size": side}


def test_choices_that_are_tuples_are_learnt_proposed_and_read_from_disk(make_settings, rebuild):
    """The model advises pairs by their names, and the space makes pairs of them again."""
    settings = make_settings(seed=3)
    told, pairs, advised = Told(make_proposer(tuples, settings)), [], []
    for number in range(40):
        rebuilt = rebuild(told.events, make_proposer(tuples, settings)).ask(number) if number % 8 == 7 else None
        found = told.ask(number)
        assert rebuilt in (None, found)
        advised += found.ahead
        pairs.append(found.params["crop_size"])
        assert found.values["crop_size"] == {"[256, 256]": 256, "[512, 256]": 512, "[512, 512]": 512}[pairs[-1]]
        told.finish(number, 0.3 * (pairs[-1] == "[512, 256]") + 0.001 * (number % 7))
    assert set(pairs[:12]) == {"[256, 256]", "[512, 256]", "[512, 512]"}
    assert {advice["crop_size"] for advice in advised} >= {"[256, 256]", "[512, 256]"}


def dependent(trial: optuna.Trial) -> dict:
    """What is drawn first decides what else may be chosen, whether it is a number, and how its range is divided."""
    backbone = trial.suggest_categorical("backbone", ("resnet18", "resnet34", "resnet50"))
    sizes = {"resnet18": (256, 384), "resnet34": (128, 256), "resnet50": (128,)}[backbone]
    trial.suggest_categorical("crop_size", sizes)
    trial.suggest_categorical("loss", ("ce", "ce+dice") if backbone == "resnet18" else ("ce", "focal"))
    if backbone == "resnet50":
        trial.suggest_categorical("batch_size", ("auto", "4"))
    else:
        trial.suggest_int("batch_size", 2, 8)
    is_log = backbone == "resnet18"
    trial.suggest_float("weight_decay", 1e-4 if is_log else 0.0, 1e-2, log=is_log)
    return {"input_mode": "crop", "batch_size": 4}


def test_a_space_whose_choices_hang_on_each_other_is_learnt_and_proposed_from(make_settings):
    told = Told(make_proposer(dependent, make_settings(seed=3)))
    advised = []
    for number in range(30):
        found = told.ask(number)
        advised += found.ahead
        told.finish(number, 0.4 * (found.params["crop_size"] == 384) + 0.001 * (number % 7))
    assert {advice["crop_size"] for advice in advised} >= {256, 384}
