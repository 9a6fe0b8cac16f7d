"""The watchdog on Ray's own trials, with a clock that the test moves; a real worker that hangs is in `test_faults`."""

from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial

from search.folder import StageFolder
from search.run.recorder import Recorder
from search.run.retries import Retries
from search.run.watchdog import Watchdog


@pytest.fixture
def watch(script):
    """A watchdog that counts a silence of more than 100 s, and two trials that have just started."""
    watch = SimpleNamespace(now=0.0, ended=[], trials=[], script=script)
    watch.recorder = Recorder(
        script.journal,
        StageFolder(root=script.journal.file.parent),
        None,
        Retries(script.journal, 0, dict, set().add, set().add),
    )
    watch.dog = Watchdog(script.journal, watch.recorder, 100.0, end_worker=watch.ended.append, clock=lambda: watch.now)
    for number in range(2):
        script.ask(number)
        trial = Trial("no_trainable", stub=True, config={"trial": number})
        trial.temporary_state.ray_actor = f"worker {number}"
        watch.trials.append(trial)
        watch.dog.on_trial_start(1, watch.trials, trial)
    return watch


def step(watch, seconds, every=5.0):
    """Let time pass, the driver awake."""
    for _ in range(int(seconds / every)):
        watch.now += every
        watch.dog.on_step_begin(1, watch.trials)


def report(watch, number):
    watch.dog.on_trial_result(1, watch.trials, watch.trials[number], {"epoch": 1})


def told(watch):
    return [warning.message for warning in watch.script.journal.history.warnings]


def test_the_worker_of_a_trial_that_reports_no_more_is_ended_and_it_is_told(watch):
    for number in range(2):
        report(watch, number)
    step(watch, 60)
    report(watch, 0)
    step(watch, 40)
    assert watch.ended == []
    step(watch, 5)
    assert watch.ended == ["worker 1"]
    assert told(watch) == [
        "Trial 1 said nothing for 105 s and is taken for hung: its worker is ended. Where trials are only slow, give "
        "--hang-after a longer time."
    ]


def test_the_first_report_may_take_six_times_as_long(watch):
    report(watch, 0)
    step(watch, 100)
    report(watch, 0)
    step(watch, 500)
    assert watch.ended == ["worker 0"]
    step(watch, 5)
    assert watch.ended == ["worker 0", "worker 1"]


def test_a_trial_that_is_only_slow_is_given_twice_the_time_after_each_end(watch):
    """Once 6 x 100 s, then 12 x 100 s."""
    watch.trials.pop()
    step(watch, 605)
    watch.dog.on_trial_start(1, watch.trials, watch.trials[0])
    step(watch, 1200)
    assert watch.ended == ["worker 0"]
    step(watch, 5)
    assert watch.ended == 2 * ["worker 0"]


def test_time_in_which_the_driver_itself_stood_still_is_no_silence(watch):
    """Of each hour ten seconds count."""
    for number in range(2):
        report(watch, number)
    step(watch, 10 * 3600, every=3600)
    assert watch.ended == []
    step(watch, 5)
    assert len(watch.ended) == 2


def test_a_worker_that_hangs_before_its_next_trial_has_started_is_ended_too(watch):
    trial = Trial("no_trainable", stub=True, config={"trial": 1})
    trial.temporary_state.ray_actor = "worker that resets"
    watch.trials[:] = [trial]
    step(watch, 605)
    assert watch.ended == []
    step(watch, 5)
    assert watch.ended == ["worker that resets"]


@pytest.mark.parametrize("state", ["no worker", "ended"])
def test_a_trial_that_waits_for_a_node_or_has_ended_is_not_watched(watch, state):
    for trial in watch.trials:
        if state == "ended":
            trial.set_status(Trial.TERMINATED)
        else:
            trial.temporary_state.ray_actor = None
    step(watch, 5000)
    assert watch.ended == []


def test_nothing_is_taken_for_hung_where_that_is_not_wanted(watch):
    watch.dog = Watchdog(
        watch.script.journal, watch.recorder, 0.0, end_worker=watch.ended.append, clock=lambda: watch.now
    )
    step(watch, 100_000, every=1000)
    assert watch.ended == []
