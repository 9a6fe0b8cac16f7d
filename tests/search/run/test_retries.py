"""Trials that are handed out again, on a journal and nodes that the test names; real nodes are in `test_faults`."""

import pytest

from search.memory.outcome import Outcome
from search.run.retries import Retries

NODES = {"aaaaaaaa11": "10.0.0.1", "bbbbbbbb22": "10.0.0.2"}
GOOD, BAD = NODES


@pytest.fixture
def retries(script):
    """Three trials went well on the good node; the nodes are those of `retries.nodes`, `retries.rested` rest."""
    nodes, rested = dict(NODES), list[str]()
    retries = Retries(script.journal, 1, lambda: dict(nodes), nodes.pop, rested.append)
    retries.nodes, retries.rested = nodes, rested
    for trial in range(10, 13):
        script.ask(trial)
        script.write("started", trial=trial, node=GOOD)
        script.epochs(trial, 0.5)
    for trial in range(4):
        script.ask(trial)
    return retries


def fail(script, retries, trial, node, *, of_node=False) -> bool:
    """Do as the recorder does, and say whether the trial is tried again."""
    script.write("started", trial=trial, node=node)
    again = retries.take_up(trial, node, "killed", of_node=of_node)
    if again:
        retries.waiting.remove(trial)
    else:
        script.write("ended", trial=trial, outcome="failed", message="killed", node=node)
    retries.judge_nodes()
    return again


def test_a_trial_is_given_up_once_it_failed_more_often_than_it_may(script, retries):
    assert [fail(script, retries, 0, GOOD) for _ in range(2)] == [True, False]


def test_the_death_of_a_node_never_counts_against_a_trial(script, retries):
    del retries.nodes[BAD]
    assert all(fail(script, retries, 0, BAD) for _ in range(9))
    assert retries.rested == []
    assert all(fail(script, retries, 0, GOOD, of_node=True) for _ in range(3))
    assert retries.rested == 3 * [GOOD]


@pytest.fixture
def emptied(script, retries):
    """The same, when the three have ended."""
    for trial in range(10, 13):
        script.write("ended", trial=trial, outcome="finished")
    return retries


def test_a_trial_without_memory_beside_others_waits_until_they_have_ended_while_new_ones_run(script, emptied):
    for trial in (0, 1):
        script.write("started", trial=trial, node=GOOD)
    script.write("started", trial=2, node=BAD)
    assert emptied.take_up(1, GOOD, "no memory", crowded=True)
    assert emptied.take_waiting() is None
    script.write("started", trial=3, node=GOOD)
    script.write("ended", trial=2, outcome="finished")
    assert emptied.take_waiting() is None
    emptied.waiting.append(2)
    script.write("ended", trial=0, outcome="finished")
    assert (emptied.take_waiting(), emptied.take_waiting()) == (1, None), "trial 3 was not there"


def test_of_two_trials_that_end_each_other_one_runs_alone_and_then_the_other(script, emptied):
    for trial in (0, 1):
        script.write("started", trial=trial, node=GOOD)
    assert emptied.take_up(1, GOOD, "no memory", crowded=True)
    assert emptied.take_up(0, GOOD, "no memory", crowded=True)
    assert emptied.take_waiting() == 0
    script.write("started", trial=0, node=GOOD)
    assert emptied.take_waiting() is None
    script.write("ended", trial=0, outcome="finished")
    assert emptied.take_waiting() == 1


def test_a_node_on_which_trial_after_trial_fails_gets_no_more_and_it_is_told_once(script, retries):
    for trial in range(3):
        assert retries.nodes == NODES
        assert fail(script, retries, trial, BAD)
    assert retries.nodes.keys() == {GOOD}
    fail(script, retries, 3, BAD)
    assert [warning.message for warning in script.journal.history.warnings] == [
        "Trial after trial failed on node 10.0.0.2 (bbbbbbbb), unlike elsewhere: it gets no more. Look at its memory, "
        "disk, mounts and GPUs; the next run tries it again."
    ]


def test_what_was_given_up_because_of_a_node_is_taken_up_again_once_the_node_is_known_to_be_bad(script, retries):
    assert [fail(script, retries, 0, BAD) for _ in range(2)] == [True, False]
    assert fail(script, retries, 1, BAD)
    assert script.journal.history.trials[0].outcome is Outcome.FAILED
    assert fail(script, retries, 2, BAD)
    assert script.journal.history.trials[0].outcome is None
    assert retries.waiting == [0]


def test_a_trial_that_failed_twice_on_a_node_is_tried_on_another(script, retries):
    retries = Retries(script.journal, 3, lambda: NODES, set().add, set().add)
    for _ in range(2):
        assert retries.find_avoided(0) == []
        fail(script, retries, 0, BAD)
    assert retries.find_avoided(0) == [BAD]
    assert retries.find_avoided(1) == []


def test_a_trial_that_was_ended_while_it_waited_is_passed_over(script, retries):
    retries.waiting += [0, 1]
    script.end(0, "pruned")
    assert [retries.take_waiting(), retries.take_waiting()] == [1, None]


def test_a_trial_whose_worker_failed_goes_on_before_those_that_have_not_begun(script, retries):
    retries.waiting += [1, 2]
    script.write("started", trial=0, node=GOOD)
    assert retries.take_up(0, GOOD, "killed")
    assert retries.waiting == [0, 1, 2]
