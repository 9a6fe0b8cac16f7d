import pytest

from search.judge.progress import (
    build_asha,
    find_nothing_but_failures,
    find_other_gpu,
    is_over,
    replay_search,
    require_time_left,
    seconds_left,
)
from search.memory.history import History, TrialRecord
from segcore.errors import ConfigError


@pytest.fixture
def over(make_settings, script):
    """Return a function that says whether a search of so many trials is over, as its journal is now."""

    def ask(trials: int, **changes) -> bool:
        settings = make_settings(trials=trials, epochs=4, grace_epochs=1, **changes)
        asha = build_asha(settings)
        script.journal.follow(asha)
        return is_over(settings, script.journal.history, asha)

    return ask


def stop(script, trial: int, *ious: float) -> None:
    """Train a trial from the first epoch on until ASHA stops it; it can go on."""
    script.epochs(trial, *ious)
    script.write("checkpoint", trial=trial, epoch=len(ious), path=f"trials/{trial}")
    script.end(trial, "stopped by ASHA")


def fail(script, count: int, outcome: str = "failed", moment: float = 100.0) -> None:
    """Let new trials end without a score, one a second."""
    first = len(script.journal.history.trials)
    for trial in range(first, first + count):
        script.ask(trial)
        script.write("ended", trial=trial, outcome=outcome, message="no disk", time=moment + trial)


def test_asha_has_the_settings_of_the_search(make_settings):
    """Of 27 epochs a quarter of the trials goes on at 2, 8; a grace period longer than the training stops nobody."""
    assert build_asha(make_settings(epochs=27, grace_epochs=2, reduction_factor=4)).rungs == [2, 8]
    assert build_asha(make_settings(epochs=27)).rungs == [1, 2, 4, 8, 16]
    assert build_asha(make_settings(epochs=5, grace_epochs=9)).rungs == []


def test_search_is_over_when_all_trials_have_ended_and_nobody_who_waits_goes_on(script, over):
    script.ask(0)
    assert not over(1), "it runs"
    script.epochs(0, 0.5, 0.6, 0.6, 0.6)
    script.end(0)
    assert over(1)
    assert not over(2), "one has not begun"


def test_search_is_not_over_while_a_trial_waits_that_goes_on_when_none_is_left_to_begin(script, over):
    """Two wait at epoch 1: the better goes on, since nothing is left to begin; then nobody does."""
    for trial, iou in enumerate((0.5, 0.4)):
        script.ask(trial)
        stop(script, trial, iou)
    assert not over(2)
    script.write("reopened", trial=0)
    assert not over(2), "it runs"
    script.epochs(0, 0.6, 0.7, 0.8, first=2)
    script.end(0)
    assert over(2)


def test_search_whose_trials_all_failed_is_over(script, over):
    fail(script, 2)
    assert over(2)


def test_run_of_which_ten_trials_reach_no_score_does_nothing_but_fail(script):
    history = script.journal.history
    fail(script, 9)
    assert find_nothing_but_failures(history, 0.0) == []
    fail(script, 1, "out of memory")
    script.ask(10)  # it runs, and has no score yet
    assert [trial.number for trial in find_nothing_but_failures(history, 0.0)] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("outcome", ["failed", "diverged", "out of memory", "over a limit"])
def test_every_end_without_a_score_is_a_failure(script, outcome):
    fail(script, 10, outcome)
    assert len(find_nothing_but_failures(script.journal.history, 0.0)) == 10


@pytest.mark.parametrize("outcome", ["finished", "stopped by ASHA"])
def test_one_that_ended_well_shows_that_not_all_fails(script, outcome):
    fail(script, 10)
    fail(script, 1, outcome)
    assert find_nothing_but_failures(script.journal.history, 0.0) == []


def test_a_score_shows_that_trials_can_work(script):
    fail(script, 30)
    script.ask(30)
    script.epochs(30, 0.5)
    assert find_nothing_but_failures(script.journal.history, 0.0) == []


def test_what_was_before_a_run_says_nothing_of_it(script):
    """Trials 0 to 9 ended at 100 to 109 s; before them one had a score."""
    script.ask(99)
    script.write("epoch", trial=99, epoch=1, metrics={"iou": 0.5}, time=50.0)
    fail(script, 10)
    history = script.journal.history
    assert find_nothing_but_failures(history, 0.0) == []
    assert len(find_nothing_but_failures(history, 60.0)) == 10
    assert find_nothing_but_failures(history, 101.5) == [], "nine are too few"
    # What failed before the run is none of its failures.
    fail(script, 10, moment=200.0)
    assert [trial.number for trial in find_nothing_but_failures(history, 200.0)] == list(range(20, 10, -1))


def test_journal_is_read_into_history_and_judge(make_settings, script):
    """Of two at the first rung one goes on, the better; both have ended."""
    for trial, iou in enumerate((0.5, 0.6)):
        script.ask(trial)
        stop(script, trial, iou)
    history, asha = replay_search(make_settings(grace_epochs=1, reduction_factor=2), script.journal.file)
    assert [trial.best.score for trial in history.in_order] == [0.5, 0.6]
    assert asha.find_promoted() == 1


def test_without_a_budget_there_is_always_time(make_settings, script):
    script.write("opened", cache_key="key", time=0.0)
    script.write("halted", time=1e9)
    assert seconds_left(make_settings(), script.journal.history) is None


def test_a_budget_is_spent_while_a_process_has_the_stage_and_not_in_between(make_settings, script):
    """Runs from 1000 to 1040 s and from 9000 to 9015 s: 55 s of 60, of which the night between is nothing."""
    history, settings = script.journal.history, make_settings(time_budget_seconds=60)
    script.write("opened", cache_key="key", time=1000.0)
    script.write("halted", time=1040.0)
    script.ask(0)  # stamped with today, long after the second run
    assert seconds_left(settings, history) == pytest.approx(20)
    script.write("opened", cache_key="key", time=9000.0)
    script.write("epoch", trial=0, epoch=1, metrics={"iou": 0.5}, time=9015.0)
    assert seconds_left(settings, history) == pytest.approx(5)
    script.write("halted", time=9020.0)
    with pytest.raises(ConfigError, match="The time budget of 60 s is spent; grant more with --time-budget 1h"):
        seconds_left(settings, history)


def test_a_long_budget_is_told_with_all_its_digits(make_settings, script):
    script.write("opened", cache_key="key", time=1e9)
    script.write("halted", time=1e9 + 14 * 86400)
    with pytest.raises(ConfigError, match="The time budget of 1209600 s is spent"):
        seconds_left(make_settings(time_budget_seconds=14 * 86400), script.journal.history)


def test_spent_time_is_refused_only_where_there_is_something_left_to_do(make_settings, script):
    script.write("opened", cache_key="key", time=1000.0)
    script.ask(0)
    script.end(0, "failed")
    script.write("halted", time=1060.0)

    def require(trials: int, seconds: float, *, retry: bool = False) -> None:
        settings = make_settings(trials=trials, time_budget_seconds=seconds)
        asha = build_asha(settings)
        script.journal.follow(asha)
        require_time_left(settings, script.journal.history, asha, retry=retry)

    require(1, 60)  # it is over
    require(2, 0)  # it has no budget
    require(2, 1e10)  # it has time left
    for trials, retry in ((2, False), (1, True)):
        with pytest.raises(ConfigError, match="The time budget of 60 s is spent"):
            require(trials, 60, retry=retry)


def test_trial_that_only_waits_needs_time_too(make_settings, script):
    settings = make_settings(trials=1, epochs=4, grace_epochs=1, time_budget_seconds=60)
    script.write("opened", cache_key="key", time=1000.0)
    script.ask(0)
    stop(script, 0, 0.5)
    script.write("halted", time=1060.0)
    asha = build_asha(settings)
    script.journal.follow(asha)
    with pytest.raises(ConfigError, match="is spent"):
        require_time_left(settings, script.journal.history, asha)


@pytest.mark.parametrize(("outcome", "retried"), [("failed", True), ("out of memory", True), ("diverged", False)])
def test_what_a_retry_would_not_take_up_needs_no_time(make_settings, script, outcome, retried):
    """A training that diverged would end alike again."""
    settings = make_settings(trials=1, time_budget_seconds=60)
    script.write("opened", cache_key="key", time=1000.0)
    fail(script, 1, outcome, moment=1060.0)
    script.write("halted", time=1060.0)
    asha = build_asha(settings)
    script.journal.follow(asha)
    if not retried:
        require_time_left(settings, script.journal.history, asha, retry=True)
        return
    with pytest.raises(ConfigError, match="is spent"):
        require_time_left(settings, script.journal.history, asha, retry=True)


def run_out(script, trial: int, accelerator: str | None) -> None:
    script.write("ended", trial=trial, outcome="out of memory", accelerator=accelerator)


def offer(history: History, *kinds: str) -> tuple[TrialRecord, str] | None:
    """Return the trial that is to be tried on another of the kinds of GPU that are there, and on which."""
    return find_other_gpu(history, lambda: kinds)


def test_cluster_is_not_asked_for_its_gpus_as_long_as_no_trial_needs_another(script):
    script.ask(0)
    script.end(0, "failed")
    script.ask(1)
    run_out(script, 1, None)
    assert find_other_gpu(script.journal.history, lambda: pytest.fail("it takes Ray a while to say")) is None


def test_trial_that_ran_out_of_memory_is_offered_once_on_each_other_kind_of_gpu(script):
    history, kinds = script.journal.history, ("L4", "A100", "T4")
    script.ask(0)
    assert offer(history, *kinds) is None, "it runs"
    run_out(script, 0, "T4")
    for accelerator in ("A100", "L4"):
        assert offer(history, *kinds) == (history.trials[0], accelerator)
        script.write("reopened", trial=0, accelerator=accelerator)
        assert history.trials[0].accelerator == accelerator
        assert offer(history, *kinds) is None, "it runs there"
        run_out(script, 0, accelerator)
    assert offer(history, *kinds) is None
    assert history.trials[0].too_small == {"T4", "A100", "L4"}
    assert offer(history, *kinds, "H100") == (history.trials[0], "H100"), "a node joined"


def test_the_first_of_several_trials_is_offered_first(script):
    for trial in range(3):
        script.ask(trial)
    for trial in (2, 1):
        run_out(script, trial, "T4")
    trial, accelerator = offer(script.journal.history, "T4", "L4")
    assert (trial.number, accelerator) == (1, "L4")


def test_where_there_is_one_kind_of_gpu_or_none_is_known_nothing_is_offered(script):
    script.ask(0)
    run_out(script, 0, "T4")
    script.ask(1)
    run_out(script, 1, None)
    assert offer(script.journal.history, "T4") is None
    assert offer(script.journal.history) is None
    assert offer(script.journal.history, "T4", "L4")[0].number == 0, "nobody knows where trial 1 ran"


@pytest.mark.parametrize("outcome", ["finished", "failed", "diverged", "stopped by ASHA", "over a limit"])
def test_only_what_ran_out_of_memory_is_offered(script, outcome):
    """It had run out of memory on one kind before, and ended otherwise on the other."""
    script.ask(0)
    run_out(script, 0, "T4")
    script.write("reopened", trial=0, accelerator="L4")
    script.write("ended", trial=0, outcome=outcome, accelerator="L4")
    assert offer(script.journal.history, "T4", "L4", "A100") is None
