from dataclasses import replace

import pytest

from search.journal import History
from search.layout import StageFolder
from search.trial import TrialJob
from search.tuner import (
    Stage,
    find_failures,
    require_done,
    require_same_data,
    require_success,
    require_time_left,
    retry_failed,
    run_folds,
)
from segcore.errors import CheckpointError, ConfigError, InterruptedSearchError
from segcore.folds import FoldSplit


@pytest.fixture
def stage(make_settings, script, tmp_path):
    job = TrialJob(
        extra=(),
        data=tmp_path, cache_root=tmp_path, cache_key="key",
        split=FoldSplit(folds=2, fold_of={}, block_of={}), cpus=1, gpus=0,
    )  # fmt: skip
    folder = StageFolder(root=script.journal.file.parent)
    return Stage(settings=make_settings(), folder=folder, journal=script.journal, job=job)


def test_stage_that_never_ran_takes_any_data(stage):
    require_same_data(stage)


def test_stage_goes_on_with_the_data_it_began_with_and_no_other(stage):
    stage.journal.write("opened", {"cache_key": "key"})
    require_same_data(stage)
    with pytest.raises(CheckpointError, match=r"changed since .* began, so its scores cannot be compared"):
        require_same_data(replace(stage, job=replace(stage.job, cache_key="other")))


def test_stage_takes_no_other_data_than_the_stages_before_it(stage):
    search = History()
    search.apply({"event": "opened", "cache_key": "other", "time": 0.0})
    with pytest.raises(CheckpointError, match="changed since"):
        require_same_data(stage, History(), search)
    search.apply({"event": "opened", "cache_key": "key", "time": 0.0})
    require_same_data(stage, History(), search)


def open_run(stage, script, *, seconds):
    """A run that was open so long, with one trial ended and one not."""
    stage.journal.write("opened", {"cache_key": "key", "time": 1000.0})
    script.ask(0)
    script.end(0)
    script.ask(1)
    stage.journal.write("halted", {"time": 1000.0 + seconds})


def test_stage_whose_trials_have_ended_is_done(stage, script):
    script.ask(0)
    script.end(0)
    require_done(stage, 1, "resume")


@pytest.mark.parametrize("trials", [2, 3], ids=["one unfinished", "one never asked"])
def test_stage_that_stopped_early_was_interrupted(stage, script, trials):
    script.ask(0)
    script.end(0)
    script.ask(1)
    if trials == 3:
        script.end(1)
    with pytest.raises(InterruptedSearchError, match=rf"of {trials} trials; go on with 'python -m search retrain"):
        require_done(stage, trials, "retrain")


def test_stage_that_spent_its_time_is_done_with_trials_unfinished(stage, script):
    def with_budget(seconds):
        return replace(stage, settings=replace(stage.settings, time_budget_seconds=seconds))

    open_run(stage, script, seconds=2e9)  # the trials' own events are stamped with today
    require_done(with_budget(2e9), 2, "resume")
    with pytest.raises(InterruptedSearchError):
        require_done(with_budget(3e9), 2, "resume")


def test_spent_time_is_refused_where_there_is_something_left_to_do(stage, script):
    settings = replace(stage.settings, trials=1, time_budget_seconds=60)
    stage.journal.write("opened", {"cache_key": "key", "time": 1000.0})
    script.ask(0)
    script.end(0, "failed")
    require_time_left(settings, script.journal.history)
    require_time_left(replace(settings, trials=2, time_budget_seconds=0), script.journal.history)
    for changes, retry in (({"trials": 2}, False), ({}, True)):
        with pytest.raises(ConfigError, match="The time budget of 60 s is spent; grant more with"):
            require_time_left(replace(settings, **changes), script.journal.history, retry=retry)


def test_folds_that_are_not_wanted_any_more_are_left_as_they_are(stage, script):
    """Ray is never asked: the only unfinished training is of a former candidate."""
    for trial, (source, outcome) in enumerate(((4, "finished"), (5, ""))):
        content = {"trial": trial, "fold": 1, "values": {}, "params": {}, "source": source}
        script.journal.write("asked", content)
        if outcome:
            script.end(trial, outcome)
    run_folds(stage, "confirm", {(4, 1)})
    assert [trial.source for trial in script.journal.history.unfinished] == [5]


def fail(script, count, outcome="failed"):
    first = len(script.journal.history.trials)
    for trial in range(first, first + count):
        script.ask(trial)
        script.end(trial, outcome, f"no disk in trial {trial}")


def test_run_that_does_nothing_but_fail_is_ended_with_the_last_message(stage, script):
    fail(script, 9)
    assert find_failures(script.journal.history, 0.0) == []
    fail(script, 1, "out of memory")
    script.ask(10)  # runs
    with pytest.raises(InterruptedSearchError) as caught:
        require_success(stage, 0.0)
    assert str(caught.value).splitlines() == [
        "Stopped: none of 10 trials reached a score (9 failed, 1 out of memory).",
        "The last that failed, trial 9, out of memory: no disk in trial 9",
        "Mend the cause, then go on with 'python -m search resume streets --retry-failed'.",
    ]


@pytest.mark.parametrize(("failed", "limited"), [(9, 1), (0, 12)])
def test_trials_over_a_limit_reach_no_score_either(stage, script, failed, limited):
    fail(script, failed)
    fail(script, limited, "over a limit")
    with pytest.raises(InterruptedSearchError) as caught:
        require_success(stage, 0.0)
    told = str(caught.value)
    assert f"none of {failed + limited} trials reached a score" in told
    assert f"The last over a limit, trial {failed + limited - 1}: no disk" in told
    assert "Raise --max-latency-ms or --max-memory-gib in a new search" in told
    assert ("--retry-failed" in told) == bool(failed)


def test_a_score_shows_that_trials_can_work(stage, script):
    script.ask(0)
    script.epochs(0, 0.5)
    fail(script, 30)
    require_success(stage, 0.0)


def test_failures_before_a_resume_do_not_count(stage, script):
    fail(script, 10)
    since = script.journal.history.trials[9].ended + 0.001
    assert find_failures(script.journal.history, since) == []


def test_failed_trials_are_asked_for_anew_from_their_start_and_no_others(script):
    outcomes = ("finished", "failed", "diverged", "out of memory", "stopped by ASHA")
    for trial, outcome in enumerate(outcomes):
        script.ask(trial, fold=2, params={"batch_size": 8}, batch_size=8)
        script.epochs(trial, 0.5)
        script.end(trial, outcome)
    assert retry_failed(script.journal) == 1
    (trial,) = script.journal.history.unfinished
    assert (trial.number, trial.fold, trial.params, trial.epochs) == (1, 2, {"batch_size": 8}, {})
    assert trial.values["batch_size"] == 8


def test_retried_training_stays_that_of_its_configuration(script):
    content = {"trial": 0, "fold": 1, "values": {}, "params": {}, "source": 11, "drawable": False}
    script.journal.write("asked", content)
    script.end(0, "failed")
    retry_failed(script.journal)
    trial = script.journal.history.trials[0]
    assert (trial.source, trial.drawable, trial.outcome) == (11, False, None)
