from dataclasses import replace

import pytest

from search.layout import StageFolder
from search.trial import TrialJob
from search.tuner import Stage, require_same_data
from segcore.errors import CheckpointError
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
