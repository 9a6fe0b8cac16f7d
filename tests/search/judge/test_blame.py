"""Whose fault failures are, on scripted events: A and B are fine nodes, X is one whose workers die."""

from search.judge.blame import Blame, Failure
from search.memory.events import Ended, Epoch, Opened, Reopened, Restarted, Started
from search.memory.outcome import Outcome

ABLE = ("A", "B", "X")


def start(blame, trial, node):
    blame.apply(Started(trial=trial, node=node))


def train(blame, trial, node):
    """A trial that is well: it has reported an epoch."""
    start(blame, trial, node)
    blame.apply(Epoch(trial=trial, epoch=1, metrics={}))


def die(blame, trial, node):
    blame.apply(Restarted(trial=trial, node=node))


def fail(blame, trial, node):
    start(blame, trial, node)
    die(blame, trial, node)


def give_up(blame, trial, node):
    start(blame, trial, node)
    blame.apply(Ended(trial=trial, outcome=Outcome.FAILED, node=node))


def blame_after(*steps):
    blame = Blame()
    blame.apply(Opened(cache_key="key"))
    for step, trial, node in steps:
        step(blame, trial, node)
    return blame


WELL = [(train, 10, "A"), (train, 11, "B"), (train, 12, "A")]


def test_a_node_on_which_three_trials_fail_one_after_another_is_bad_when_others_are_fine():
    failures = [(fail, 0, "X"), (fail, 1, "X"), (fail, 2, "X")]
    assert blame_after(*WELL, *failures[:2]).find_bad(ABLE) == set()
    assert blame_after(*WELL, *failures).find_bad(ABLE) == {"X"}
    assert blame_after(*failures, *WELL).find_bad(ABLE) == {"X"}
    # Three of six are half of its attempts, three of seven are not.
    fine = [(train, trial, "X") for trial in range(20, 24)]
    assert blame_after(*WELL, *fine[:3], *failures).find_bad(ABLE) == {"X"}
    assert blame_after(*WELL, *fine, *failures).find_bad(ABLE) == set()


def test_a_worker_that_dies_in_mid_training_counts_too():
    steps = [each for trial in range(3) for each in ((train, trial, "X"), (die, trial, "X"))]
    assert blame_after(*WELL, *steps).find_bad(ABLE) == {"X"}


def test_a_worker_that_dies_before_its_trial_has_started_counts_too():
    assert blame_after(*WELL, *[(die, trial, "X") for trial in range(3)]).find_bad(ABLE) == {"X"}


def test_one_trial_that_fails_again_and_again_makes_no_node_bad():
    assert blame_after(*WELL, *6 * [(fail, 0, "X")]).find_bad(ABLE) == set()


def test_what_kills_all_workers_of_a_node_at_once_may_happen_twice():
    """Four workers die at once, and so do the next four; of the third four the first is enough."""

    def crash(trials):
        return [(step, trial, "X") for step in (start, die) for trial in trials]

    twice = [*WELL, *crash(range(4)), *crash(range(4, 8))]
    assert blame_after(*twice).find_bad(ABLE) == set()
    assert blame_after(*twice, (fail, 8, "X")).find_bad(ABLE) == {"X"}


def test_no_node_is_bad_where_trials_fail_elsewhere_as_well():
    """Two of five attempts fail elsewhere: three times that is more than all."""
    elsewhere = [*WELL, (fail, 20, "A"), (fail, 21, "B")]
    failures = [(fail, trial, "X") for trial in range(5)]
    assert blame_after(*elsewhere, *failures).find_bad(ABLE) == set()
    # One of four, and all of those here.
    assert blame_after(*WELL, (fail, 20, "A"), *failures).find_bad(ABLE) == {"X"}


def test_no_node_is_bad_while_little_is_known_of_others():
    failures = [(fail, trial, "X") for trial in range(5)]
    assert blame_after(*WELL[:2], *failures).find_bad(ABLE) == set()
    assert blame_after(*WELL, *failures).find_bad(["X"]) == set()


def test_a_node_that_was_fine_for_long_is_bad_once_half_of_its_last_nine_attempts_failed():
    """Four of nine are fewer than half, five are more."""
    steps = [*WELL, *[(train, 100 + trial, "X") for trial in range(50)], *[(fail, trial, "X") for trial in range(4)]]
    assert blame_after(*steps).find_bad(ABLE) == set()
    assert blame_after(*steps, (fail, 4, "X")).find_bad(ABLE) == {"X"}


def test_failures_on_nodes_that_are_gone_or_left_out_do_not_count_against_a_trial():
    blame = blame_after(*4 * [(fail, 0, "X")], (fail, 0, "A"), (fail, 0, "B"))
    assert blame.may_go_on(0, Failure(node="A"), 3, fit={"A", "B"})
    assert not blame.may_go_on(0, Failure(node="A"), 2, fit={"A", "B"})
    assert not blame.may_go_on(0, Failure(node="A"), 3, fit={"A", "B", "X"})


def test_a_failure_on_an_unknown_node_is_the_trials_own():
    assert blame_after((fail, 0, None)).may_go_on(0, Failure(node=None), 2, fit=set())
    assert not blame_after((fail, 0, None)).may_go_on(0, Failure(node=None), 1, fit=set())


def test_failures_that_are_known_to_be_a_nodes_never_count_against_a_trial():
    """Two failures of a trial that may have one of its own: the second is its own, and the first is not."""
    blame = Blame()
    blame.apply(Restarted(trial=0, node="A", of_node=True))
    assert blame.may_go_on(0, Failure(node="A"), 1, fit={"A"})
    assert blame.may_go_on(0, Failure(node="A", of_node=True), 0, fit={"A"})
    blame.apply(Restarted(trial=0, node="A"))
    assert not blame.may_go_on(0, Failure(node="A"), 1, fit={"A"})


def test_a_trial_whose_nodes_die_without_end_is_given_up():
    assert blame_after(*22 * [(fail, 0, "X")]).may_go_on(0, Failure(node="X"), 3, fit={"A"})
    assert not blame_after(*23 * [(fail, 0, "X")]).may_go_on(0, Failure(node="X"), 3, fit={"A"})


def test_a_trial_that_was_given_up_for_a_nodes_failures_was_wronged():
    blame = blame_after((fail, 0, "X"), (give_up, 0, "X"), (fail, 1, "A"), (give_up, 1, "A"))
    assert blame.find_wronged(1, fit={"A", "X"}) == []
    assert blame.find_wronged(1, fit={"A"}) == [0]
    blame.apply(Reopened(trial=0))
    assert blame.find_wronged(1, fit={"A"}) == []


def test_a_trial_that_failed_and_names_no_node_is_nobodys_fault():
    """What ended it was no worker that died, so there is no failure of a worker and nothing to make good."""
    blame = blame_after((give_up, 0, None))
    assert (blame.count_failures(0), blame.find_wronged(1, fit={"A"})) == (0, [])


def test_a_trial_that_failed_twice_on_a_node_is_tried_elsewhere_where_there_is_another():
    blame = blame_after((fail, 0, "X"))
    assert blame.find_avoided(0, ABLE) == set()
    fail(blame, 0, "X")
    assert blame.find_avoided(0, ABLE) == {"X"}
    assert blame.find_avoided(0, ["X"]) == set()
    assert blame.find_avoided(1, ABLE) == set()


def test_who_runs_where_is_known_until_it_fails_or_ends():
    blame = blame_after(*WELL, (fail, 0, "X"), (start, 1, "X"))
    assert (blame.find_running("A"), blame.find_running(None)) == ({10, 12}, {1, 10, 11, 12})
    blame.apply(Ended(trial=11, outcome=Outcome.FINISHED))
    assert [blame.node_of(trial) for trial in (0, 1, 11)] == [None, "X", None]


def test_another_run_begins_anew():
    blame = blame_after(*WELL, *[(fail, trial, "X") for trial in range(5)], (give_up, 7, "X"))
    blame.apply(Opened(cache_key="key"))
    assert (blame.find_bad(ABLE), blame.find_wronged(3, fit={"A"}), blame.count_failures(0)) == (set(), [], 0)
