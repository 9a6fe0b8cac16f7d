import math
import os
import sys
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.quality.drawing import Condition, decode, find_conditions, find_distributions, restore
from benchmarks.quality.peer_jobs import Job, JobArm
from benchmarks.quality.peer_neps import Neps
from benchmarks.quality.peers import SYNE_TUNE, find_peers
from benchmarks.quality.playing import _make_arms
from benchmarks.quality.simulator import Arm, Simulation, Verdict
from benchmarks.quality.synthetic import FAMILIES, Landscape
from benchmarks.quality.tables import Table
from benchmarks.quality.usual import make_usual

# An environment with benchmarks/requirements*.txt; last, so that what both have is the project's.
sys.path += [folder for folder in [os.environ.get("PEERS")] if folder]

NAN = math.nan
EPOCHS = 9
TRAININGS = 12
PEERS = (*SYNE_TUNE, "smac-multi-fidelity", "dehb", "neps-hyperband", "neps-priorband")
NEEDED = "needs benchmarks/requirements*.txt, installed or in the folder that PEERS names"


def nested(trial) -> None:
    """`size` and `overlap` when cropping, `blend` beside some overlap only; `momentum` hangs on a number."""
    mode = trial.suggest_categorical("mode", ("full", "crop", "tiles"))
    if mode != "full":
        trial.suggest_categorical("size", (128, 256))
        if trial.suggest_categorical("overlap", (False, True)):
            trial.suggest_float("blend", 0.1, 0.9)
    if trial.suggest_float("rate", 1e-4, 1e-1, log=True) > 1e-3:
        trial.suggest_float("momentum", 0.5, 0.99)
    trial.suggest_int("fixed", 3, 3)


def test_conditions_name_the_earliest_choice_that_decides():
    assert find_conditions(nested) == {
        "size": Condition(parent="mode", values=("crop", "tiles")),
        "overlap": Condition(parent="mode", values=("crop", "tiles")),
        "blend": Condition(parent="overlap", values=(True,)),
    }


def test_what_has_one_value_is_no_parameter_to_a_peer():
    assert set(find_distributions(nested)) == {"mode", "size", "overlap", "blend", "rate", "momentum"}


def test_conditions_of_a_landscape():
    landscape = Landscape(FAMILIES[0])
    assert find_conditions(landscape.space) == {
        "attention": Condition(parent="decoder", values=("unet",)),
        "crop_size": Condition(parent="input_mode", values=("crop",)),
        "scale": Condition(parent="input_mode", values=("resize",)),
    }


def test_points_of_the_unit_cube_are_decoded():
    space = {name: each for name, each in find_distributions(nested).items() if name in {"mode", "overlap", "rate"}}
    shares = {"mode": (0.0, 0.34, 1.0), "overlap": (0.49, 0.5, 1.0), "rate": (0.0, 1 / 3, 1.0)}
    decoded = [decode(np.array([shares[name][place] for name in space]), space) for place in range(3)]
    assert [each["mode"] for each in decoded] == ["full", "crop", "tiles"]
    assert [each["overlap"] for each in decoded] == [False, True, True]
    assert [each["rate"] for each in decoded] == pytest.approx([1e-4, 1e-3, 1e-1])


def test_numbers_of_a_peer_stand_for_values_and_for_the_places_of_choices():
    space = find_distributions(nested)
    assert restore(2.0, space["mode"]) == "tiles"
    assert restore(1, space["overlap"]) is True
    assert restore(np.float64(0.5), space["blend"]) == 0.5


class Scripted:
    """Asks for jobs (key, epochs) in their order, and keeps what it was told: key, epochs, cost, seconds, failed."""

    def __init__(self, jobs: list[tuple[str, int]]) -> None:
        self.jobs = jobs
        self.told: list[tuple] = []

    def ask(self) -> Job:
        key, epochs = self.jobs.pop(0)
        return Job(key=key, params={"x": {"slow": 0.0, "fast": 0.5, "lost": 1.0}[key]}, epochs=epochs, handle=None)

    def tell(self, job: Job, cost: float, seconds: float, *, failed: bool) -> None:
        self.told.append((job.key, job.epochs, cost, seconds, failed))


# A slow configuration that ends best, a fast one, and one that diverges at its second epoch.
TINY = Table(
    "tiny",
    {"x": np.array([0.0, 0.5, 1.0])},
    np.array([[0.2, 0.4, 0.9], [0.3, 0.5, 0.5], [0.1, NAN, NAN]]),
    np.array([[2.0, 2.0, 2.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]),
)


def test_a_job_with_more_epochs_goes_on_where_the_configuration_was():
    optimizer = Scripted([("slow", 1), ("fast", 1), ("slow", 3), ("fast", 2)])
    arm = JobArm(TINY, optimizer)
    assert arm.ask() == (0, {"x": 0.0})
    assert arm.report(0, 1, 0.2, 2.0) is Verdict.PAUSE
    assert arm.ask() == (1, {"x": 0.5})
    assert arm.report(1, 1, 0.3, 1.0) is Verdict.PAUSE
    assert arm.ask() == (0, {"x": 0.0})
    assert arm.report(0, 2, 0.4, 2.0) is Verdict.GO_ON
    assert arm.report(0, 3, 0.9, 2.0) is Verdict.PAUSE
    assert optimizer.told == [
        ("slow", 1, -0.2, 2.0, False),
        ("fast", 1, -0.3, 1.0, False),
        ("slow", 3, -0.9, 6.0, False),
    ]


def test_jobs_whose_answer_is_known_or_under_way_take_no_worker():
    optimizer = Scripted([("slow", 2), ("slow", 3), ("fast", 1), ("slow", 1)])
    arm = JobArm(TINY, optimizer)
    assert arm.ask() == (0, {"x": 0.0})
    assert arm.ask() == (1, {"x": 0.5})
    verdicts = [arm.report(0, epoch, score, 2.0) for epoch, score in ((1, 0.2), (2, 0.4), (3, 0.9))]
    assert verdicts == [Verdict.GO_ON, Verdict.GO_ON, Verdict.PAUSE]
    optimizer.jobs += [("slow", 1), ("lost", 1)]
    assert arm.ask() == (2, {"x": 1.0})
    assert [told[:3] for told in optimizer.told] == [
        ("slow", 2, -0.4),
        ("slow", 3, -0.9),
        ("slow", 1, -0.2),
        ("slow", 1, -0.2),
    ]


def test_a_failed_training_costs_as_much_as_the_worst_and_is_not_begun_again():
    # The worst final score is 0.5; nothing worse than 0.3 is reported before the training diverges.
    optimizer = Scripted([("fast", 1), ("lost", 3), ("lost", 2), ("slow", 1)])
    arm = JobArm(TINY, optimizer)
    run = Simulation(TINY, arm, workers=1, budget_seconds=4.0, seed=0).run()
    assert [(told[0], told[1], told[4]) for told in optimizer.told] == [
        ("fast", 1, False),
        ("lost", 3, True),
        ("lost", 2, True),
    ]
    assert [told[2] for told in optimizer.told] == pytest.approx([-0.3, -0.1, -0.1])
    assert {number: training.epoch for number, training in run.trainings.items()} == {0: 1, 1: 2, 2: 0}


def hill() -> Table:
    """Return a task of 300 configurations: a hill, on one side of which trainings diverge at their third epoch."""
    random = np.random.default_rng(0)
    rate, decay = 10 ** random.uniform(-4, -1, 300), random.uniform(0, 1, 300)
    units = random.integers(1, 9, 300).astype(float)
    final = 0.9 - 0.1 * (np.log10(rate) + 2.5) ** 2 - 0.2 * (decay - 0.3) ** 2 + 0.01 * units
    scores_CE = final[:, None] * (1 - np.exp(-np.arange(1, EPOCHS + 1) / 3))
    scores_CE[rate > 5e-2, 2:] = NAN
    return Table("hill", {"rate": rate, "decay": decay, "units": units}, scores_CE, np.ones_like(scores_CE))


class Watched:
    """An arm of which every ask and report is checked: no trial runs twice at a time, no epoch comes twice."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self.running: set[int] = set()
        self.ended: set[int] = set()
        self.epochs: dict[int, int] = {}
        self.params: dict[int, dict] = {}
        self.resumed = 0

    def ask(self):
        proposal = self.arm.ask()
        if proposal is not None:
            number, params = proposal
            assert number not in self.running | self.ended
            self.running.add(number)
            self.resumed += number in self.epochs
            self.epochs.setdefault(number, 0)
            assert self.params.setdefault(number, params) == params
        return proposal

    def report(self, number, epoch, score, seconds):
        assert epoch == self.epochs[number] + 1
        self.epochs[number] = epoch
        verdict = self.arm.report(number, epoch, score, seconds)
        if verdict is Verdict.PAUSE:
            self.running.remove(number)
        return verdict

    def end(self, number, outcome, score):
        self.running.discard(number)
        self.ended.add(number)
        self.arm.end(number, outcome, score)


def play(make: Callable[[Table, int], Arm]) -> Watched:
    task = hill()
    watched = Watched(make(task, 3))
    Simulation(task, watched, workers=2, budget_seconds=TRAININGS * task.whole_seconds / 2, seed=0).run()
    return watched


@pytest.fixture(scope="module")
def peers() -> dict[str, Callable[[Table, int], Arm]]:
    return find_peers(TRAININGS)


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.filterwarnings("ignore")
def test_a_peer_starts_trials_and_continues_some_to_the_last_epoch(peers, name):
    if name not in peers:
        pytest.skip(f"{name} {NEEDED}")
    watched = play(peers[name])
    assert len(watched.epochs) > TRAININGS
    assert watched.resumed > 3
    assert sum(reached == EPOCHS for reached in watched.epochs.values()) >= 2
    assert any(reached in (1, 3) for reached in watched.epochs.values())
    # No configuration is begun anew under another number, but CQR may choose one of its candidates twice, and what
    # PriorBand varies may stay as it was.
    begun = {tuple(sorted(params.items())) for params in watched.params.values()}
    assert len(begun) == len(watched.params) or name in ("syne-asha-cqr", "neps-priorband")


@pytest.mark.parametrize("name", ["optuna-tpe+hyperband", "optuna-gp+halving"])
@pytest.mark.filterwarnings("ignore")
def test_optunas_strongest_stop_trials_and_let_some_finish(name):
    watched = play(_make_arms(TRAININGS)[name])
    assert len(watched.epochs) > TRAININGS
    assert sum(reached == EPOCHS for reached in watched.epochs.values()) >= 2
    assert any(reached in (1, 3) for reached in watched.epochs.values())


@pytest.mark.parametrize("name", ["syne-bohb", "smac-multi-fidelity", "dehb", "neps-priorband", "optuna-tpe+hyperband"])
@pytest.mark.filterwarnings("ignore")
def test_a_search_repeats_under_its_seed(peers, name):
    makers = _make_arms(TRAININGS) | peers
    if name not in makers:
        pytest.skip(f"{name} {NEEDED}")
    first, second = play(makers[name]), play(makers[name])
    assert first.params == second.params
    assert first.epochs == second.epochs


@pytest.mark.filterwarnings("ignore")
def test_smac_draws_a_conditional_parameter_only_beside_its_choice():
    pytest.importorskip("smac", reason=NEEDED)
    from benchmarks.quality.peer_smac import _translate

    landscape = Landscape(FAMILIES[0])
    space = _translate(landscape, find_distributions(landscape.space))
    space.seed(0)
    configurations = [dict(each) for each in space.sample_configuration(60)]
    # Choices stand for themselves by their places: crop is the first of the input modes, resize the second.
    assert {each["input_mode"] for each in configurations if "crop_size" in each} == {0}
    assert {each["input_mode"] for each in configurations if "scale" in each} == {1}
    assert all("crop_size" in each for each in configurations if each["input_mode"] == 0)


@pytest.mark.filterwarnings("ignore")
def test_priorband_tries_the_usual_values_first_and_hyperband_none():
    pytest.importorskip("neps", reason=NEEDED)
    landscape = Landscape(FAMILIES[0])
    first = Neps(landscape, 0, has_prior=True).ask()
    assert (first.params, first.epochs) == (make_usual(landscape), 3)
    assert Neps(landscape, 0, has_prior=False).ask().params != first.params


@pytest.mark.filterwarnings("ignore")
def test_nine_three_and_three_trials_begin_nepss_brackets_at_a_ninth_a_third_and_all_of_the_epochs():
    pytest.importorskip("neps", reason=NEEDED)
    hyperband = Neps(hill(), 0, has_prior=False)
    jobs = [hyperband.ask() for _ in range(16)]
    assert [job.epochs for job in jobs] == [1] * 9 + [3] * 3 + [9] * 3 + [1]
    for job, cost in zip(jobs[:9], (0.5, 0.1, 0.9, 0.2, 0.8, 0.7, 0.6, 0.4, 0.3), strict=True):
        hyperband.tell(job, cost, 1.0, failed=False)
    promoted = [hyperband.ask() for _ in range(3)]
    assert [(job.key, job.epochs) for job in promoted] == [("2", 3), ("4", 3), ("9", 3)]
    assert promoted[0].params == jobs[1].params
