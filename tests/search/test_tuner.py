from dataclasses import replace

import pytest

from search.layout import StageFolder
from search.trial import TrialJob
from search.tuner import Stage, require_done, require_same_data
from segcore.errors import CheckpointError, InterruptedSearchError
from segcore.folds import FoldSplit


@pytest.fixture
def stage(make_settings, script, tmp_path):
    job = TrialJob(
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
