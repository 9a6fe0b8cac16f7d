import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.quality.arms import Judged, Ours, RandomOurAsha
from benchmarks.quality.drawing import draw_params, find_distributions
from benchmarks.quality.playing import choose_arms, main, seed_arm
from benchmarks.quality.report import _rank, score_run
from benchmarks.quality.simulator import Simulation, Verdict
from benchmarks.quality.stock import grace_epochs
from benchmarks.quality.synthetic import FAMILIES, NARROW, Landscape
from benchmarks.quality.tables import Table, load_tables
from benchmarks.quality.tasks import regret
from search.memory.events import Asked, Dropped, Event, encode_event, parse_event
from search.memory.outcome import Outcome
from segcore.errors import ConfigError

NAN = math.nan

# Three configurations of two epochs: a slow one that ends best, a fast one, and one that diverges.
TINY = Table(
    "tiny",
    {"x": np.array([0.0, 0.5, 1.0])},
    np.array([[0.2, 0.9], [0.3, 0.5], [0.4, NAN]]),
    np.array([[2.0, 2.0], [1.0, 1.0], [1.0, 1.0]]),
)


class Scripted:
    """Proposes what it was given; pauses the trials named, and asks for them again when all is proposed."""

    def __init__(self, places: list[float], paused: tuple[int, ...] = ()) -> None:
        self.waiting = list(enumerate(places))
        self.places, self.paused = places, paused
        self.heard: list[tuple] = []

    def ask(self):
        if not self.waiting:
            return None
        number, place = self.waiting.pop(0)
        return number, {"x": place}

    def report(self, number, epoch, score, seconds):
        self.heard.append((number, epoch, score, seconds))
        if number in self.paused and epoch == 1:
            self.waiting.append((number, self.places[number]))
            return Verdict.PAUSE
        return Verdict.STOP if math.isnan(score) else Verdict.GO_ON

    def end(self, number, outcome, score):
        self.heard.append((number, outcome))


def play(arm, seconds: float, workers: int = 2, task=TINY):
    return Simulation(task, arm, workers=workers, budget_seconds=seconds, seed=0).run()


def test_a_start_takes_its_time_each_time_that_a_trial_is_given_a_worker():
    arm = Scripted([0.1, 0.6], paused=(0,))
    run = Simulation(TINY, arm, workers=1, budget_seconds=100, seed=0, start_seconds=10.0).run()
    # The first trial starts at 0, pauses at 12; the other starts there and ends at 24; the first goes on from 34 to 36.
    assert run.times == [0.0, 12.0, 23.0, 36.0]
    assert run.busy_seconds == 36
    assert play(Scripted([0.1]), 5.0, workers=1).busy_seconds == 4
    cut = Simulation(TINY, Scripted([0.1]), workers=1, budget_seconds=5, seed=0, start_seconds=10.0).run()
    assert cut.busy_seconds == 5


def test_clock_and_regret_of_a_hand_worked_search():
    arm = Scripted([0.1, 0.6, 0.9])
    run = play(arm, 6.0)
    # Worker A: trial 0, 0-2, 2-4. Worker B: trial 1, 0-1, 1-2; trial 2, 2-3, 3-4, where it diverges.
    assert arm.heard[:3] == [(1, 1, 0.3, 1.0), (0, 1, 0.2, 2.0), (1, 2, 0.5, 1.0)]
    assert (1, Outcome.FINISHED) in arm.heard and (2, Outcome.FINISHED) in arm.heard
    # Best 0.9, median of the finals 0.9 and 0.5 is 0.7: the fast one is worse than that, regret 1, until 4 s.
    assert run.times == [0.0, 1.0, 4.0]
    assert run.regrets == [1.0, 1.0, 0.0]
    assert run.area == pytest.approx(4 / 6)
    assert run.regret_at(3.9) == 1.0 and run.regret_at(4.0) == 0.0
    assert run.reaches(0.5) == 4.0
    # 4 s and 4 s of 12; trials 1 (0.5 < 0.7) and 2 are wasted: 2 s + 2 s of 8.
    assert run.idle_share == pytest.approx(1 / 3)
    assert run.wasted_share(TINY.middle) == pytest.approx(0.5)


class TooLarge(Table):
    """A table of which nothing fits into memory."""

    def train(self, params, seed):
        return replace(super().train(params, seed), out_of_memory=True)


def test_a_training_that_does_not_fit_fails_after_a_tenth_of_its_first_epoch():
    arm = Scripted([0.0])
    run = play(
        arm, 6.0, workers=1, task=TooLarge("large", {"x": np.array([0.0])}, np.ones((1, 2)), np.full((1, 2), 2.0))
    )
    assert arm.heard == [(0, Outcome.OUT_OF_MEMORY)]
    assert run.busy_seconds == pytest.approx(0.2)


def test_of_equal_scores_the_first_stays_chosen():
    scores, seconds = np.array([[0.5, 0.9], [0.5, 0.6]]), np.array([[1.0, 5.0], [2.0, 5.0]])
    alike = Table("alike", {"x": np.array([0.0, 1.0])}, scores, seconds)
    # The first has its 0.5 after a second and its 0.9 after six, the other its 0.5 after two.
    assert play(Scripted([0.0, 1.0]), 4.0, task=alike).times == [0.0, 1.0]


def test_what_is_unfinished_at_the_end_counts_for_the_time_it_had():
    run = play(Scripted([0.0]), 3.0, workers=1)
    assert run.trainings[0].epoch == 1
    assert run.busy_seconds == pytest.approx(3.0)
    assert run.regrets == [1.0, 0.0]


def test_a_paused_trial_goes_on_where_it_was():
    arm = Scripted([0.0, 0.5], paused=(0,))
    run = play(arm, 10.0, workers=1)
    # Trial 0: 0-2; trial 1: 2-4; trial 0 again: 4-6.
    assert [heard[:2] for heard in arm.heard if heard[0] == 0] == [(0, 1), (0, 2), (0, Outcome.FINISHED)]
    assert run.busy_seconds == pytest.approx(6.0)


def test_time_to_the_stock_result_is_a_share_of_the_budget():
    run = play(Scripted([0.1, 0.6, 0.9]), 6.0)
    assert score_run("arm", TINY, 0, run, run).reached == pytest.approx(4 / 6)


def test_regret_is_bounded_and_nan_is_the_worst():
    assert [regret(TINY, final) for final in (0.9, 0.8, 0.5, NAN)] == pytest.approx([0.0, 0.5, 1.0, 1.0])


def test_equal_values_share_their_rank():
    assert _rank(np.array([0.3, 0.1, 0.3, 0.5])) == pytest.approx([2.5, 1, 2.5, 4])


def test_table_of_the_json_shape(tmp_path):
    runs = [
        {"hp": {"rate": rate, "beta1": 0.9}, "valid": {"loss": [1.0, *losses]}}
        for rate, losses in ((0.1, [0.1, 0.01]), (1.0, [1.0, NAN]), (10.0, [0.1, 0.001]))
    ]
    file = tmp_path / "FixedTextTask.json"
    file.write_text(str(runs).replace("'", '"').replace("nan", "NaN"))
    (table,) = load_tables(file)
    assert (table.name, table.epochs, table.best) == ("taskset/Task", 2, 3.0)
    assert table.train({"rate": 0.15, "1-beta1": 0.1}, 0).scores == pytest.approx([1.0, 2.0])
    assert math.isnan(table.train({"rate": 1.2, "1-beta1": 0.1}, 0).final)


def test_missing_table_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        load_tables(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    return Landscape(next(family for family in FAMILIES if family.name == "failing"))


def test_landscape_repeats_its_noise_under_a_seed_and_has_every_end(landscape):
    arm = Scripted([])
    ours = Ours(landscape, 0)
    params = [ours.ask()[1] for _ in range(40)]
    curves = [landscape.train(each, 1) for each in params]
    for each, curve in zip(params, curves, strict=True):
        assert np.array_equal(landscape.train(each, 1).scores, curve.scores, equal_nan=True)
    assert any(curve.out_of_memory for curve in curves)
    assert any(np.isnan(curve.scores).any() and not curve.out_of_memory for curve in curves)
    assert all(curve.final <= landscape.best for curve in curves if not math.isnan(curve.final))
    assert arm.ask() is None


class Written(Judged):
    """Trials whose events are kept as lines of a journal."""

    def __init__(self, ours: Ours, lines: list[bytes]) -> None:
        super().__init__(ours.asha, ours.proposer)
        self.lines = lines

    def tell(self, event: Event) -> None:
        self.lines.append(encode_event(event))
        super().tell(event)


class Journaled:
    """Ours, killed before each of some asks and rebuilt from its journal as a resumed search is."""

    def __init__(self, task, kills: set[int]) -> None:
        self.task, self.kills, self.ours = task, kills, Ours(task, 5)
        self.lines: list[bytes] = []
        self.ours.judged = Written(self.ours, self.lines)
        self.asked: list[tuple[int, dict]] = []
        self.verdicts: list[Verdict] = []
        self.killed_amid_proposals = 0

    def ask(self):
        if len(self.asked) in self.kills:
            self.resume()
        self.asked.append(self.ours.ask())
        return self.asked[-1]

    def events(self, kind: type) -> list:
        return [event for event in map(parse_event, self.lines) if isinstance(event, kind)]

    def resume(self) -> None:
        self.killed_amid_proposals += bool(self.events(Asked)[-1].ahead)
        fresh = Ours(self.task, 5)
        for line in self.lines:
            fresh.judged.tell(parse_event(line))
        fresh.judged, fresh._params = Written(fresh, self.lines), [event.params for event in self.events(Asked)]
        self.ours = fresh

    def report(self, number, epoch, score, seconds):
        self.verdicts.append(self.ours.report(number, epoch, score, seconds))
        return self.verdicts[-1]

    def end(self, number, outcome, score):
        self.ours.end(number, outcome, score)


def test_a_search_killed_and_replayed_proposes_stops_and_takes_up_as_the_uninterrupted_one(landscape):
    whole, killed = Journaled(landscape, set()), Journaled(landscape, {3, 14, 15, 40, 61, 62, 80})
    for arm in (whole, killed):
        play(arm, 6 * landscape.whole_seconds, workers=4, task=landscape)
    assert killed.asked == whole.asked
    assert killed.verdicts == whole.verdicts
    numbers = [number for number, _ in whole.asked]
    assert len(numbers) > 80
    assert len(set(numbers)) < len(numbers), "trials that waited were taken up"
    assert killed.killed_amid_proposals >= 2
    assert whole.events(Dropped), "checkpoints were given up"


def test_what_is_paused_is_taken_up_when_it_is_among_the_best_by_then():
    """Ours on the tiny table: of two epochs the rung is the first."""
    ours = Ours(TINY, 0)
    first, second, third = (ours.ask()[0] for _ in range(3))
    verdicts = [ours.report(number, 1, score, 1.0) for number, score in ((first, 0.3), (second, 0.2), (third, 0.1))]
    assert verdicts == [Verdict.PAUSE] * 3
    assert ours.ask()[0] == first  # first of three, of which one goes on
    assert ours.ask()[0] == 3


def test_random_draws_with_our_asha_are_paused_and_taken_up():
    arm = RandomOurAsha(TINY, 0)
    (first, params), (second, _) = arm.ask(), arm.ask()
    assert [arm.report(first, 1, 0.3, 1.0), arm.report(second, 1, 0.2, 1.0)] == [Verdict.PAUSE] * 2
    assert arm.ask() == (first, params)
    assert arm.report(first, 2, NAN, 1.0) is Verdict.STOP
    assert arm.ask()[0] == 2


def test_first_rung_of_the_peers_is_a_ninth():
    assert (grace_epochs(TINY), grace_epochs(SimpleNamespace(epochs=27))) == (1, 3)


def test_random_draws_on_tasks_of_one_space_differ_and_repeat():
    first, again, other = (RandomOurAsha(TINY, seed_arm(name, 0)) for name in ("a/x", "a/x", "a/y"))
    assert first.ask() == again.ask() != other.ask()


def test_arm_that_there_is_not_is_refused_with_those_that_there_are():
    makers = {"ours": Ours, "random+our-asha": RandomOurAsha}
    assert list(choose_arms(makers, [])) == list(makers)
    assert list(choose_arms(makers, ["ours"])) == ["ours"]
    with pytest.raises(ConfigError, match=r"--arms our: there is no such arm; there are ours, random\+our-asha\."):
        choose_arms(makers, ["our"])


def test_landscape_of_few_parameters_is_the_wide_one_where_the_others_are_usual():
    wide, narrow = Landscape(FAMILIES[0]), Landscape(NARROW[0])
    assert narrow.name == "synthetic/plain-of3"
    assert find_distributions(narrow.space).keys() == {"learning_rate", "backbone", "loss"}
    params = draw_params(narrow.space, np.random.default_rng(0), {})
    assert (params["decoder"], params["augmentation"]) == ("fpn", "light")
    assert narrow.train(params, 0).final == wide.train(params, 0).final
    assert narrow.middle < narrow.best <= wide.best


@pytest.mark.parametrize("words", [("--seeds", "0"), ("--workers", "2", "0"), ("--trainings", "-1")])
def test_counts_below_one_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert "give at least 1" in capsys.readouterr().err


def test_unknown_task_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="--tasks nosuch: there is no such task; there are synthetic/plain,"):
        main(["--curves", str(tmp_path / "none"), "--tasks", "settled1", "nosuch"])
