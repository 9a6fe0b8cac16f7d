import pytest

from search.finding import lock_stage
from search.folder import SearchFolder
from search.memory.events import Opened
from search.memory.journal import Journal
from search.opening import open_search, read_search
from search.run.capacity import Capacity
from search.settings import read_settings
from search.stages.stage import ReadySearch, open_stage
from segcore.data.caching.cache import PixelCache
from segcore.data.dividing.split import FoldSplit, write_folds
from segcore.errors import CheckpointError


def make_ready(folder: SearchFolder, cache: PixelCache, **changes: object) -> ReadySearch:
    settings, place = open_search(folder, changes)
    return ReadySearch(settings=settings, capacity=Capacity(place), folder=folder, cache=cache)


def begin(folder: SearchFolder, stage: str, cache_key: str) -> None:
    journal = Journal(folder.stages[stage].journal, "iou")
    journal.write(Opened(cache_key=cache_key))
    journal.close()


@pytest.mark.parametrize("trained", ["search", "confirm"])
@pytest.mark.parametrize("stage", ["search", "confirm", "retrain"])
def test_nothing_is_written_of_a_stage_whose_data_is_not_that_of_another(searched, cache, trained, stage):
    """Scores of one stage count in another."""
    begin(searched, trained, "other data")
    before = searched.settings.read_bytes(), searched.place.read_bytes()
    with (
        pytest.raises(CheckpointError, match="changed since"),
        open_stage(make_ready(searched, cache, max_concurrent=7), stage),
    ):
        pytest.fail("opened")
    assert (searched.settings.read_bytes(), searched.place.read_bytes()) == before
    with lock_stage(searched.stages[stage]):
        pass


def test_where_a_stage_runs_is_remembered_once_nothing_stands_against_it(searched, cache):
    ready = make_ready(searched, cache, max_concurrent=7)
    with open_stage(ready, "retrain") as opened:
        assert opened.stage.place.max_concurrent == 7
        assert read_search(searched)[1].max_concurrent == 7
    assert read_settings(searched.settings) == ready.settings


@pytest.mark.parametrize("busy", ["search", "confirm", "retrain"])
@pytest.mark.parametrize("stage", ["search", "confirm", "retrain"])
def test_one_stage_runs_at_a_time(searched, cache, busy, stage):
    """What one writes another reads, and the confirmation's checkpoints are taken over or deleted."""
    with (
        lock_stage(searched.stages[busy]),
        pytest.raises(CheckpointError, match="is in use by another process"),
        open_stage(make_ready(searched, cache), stage),
    ):
        pytest.fail("opened")


def test_folds_that_are_not_those_of_the_settings_are_refused(searched, cache):
    fold_of = {name: fold for fold, name in enumerate("abc")}
    blocks = {name: name for name in fold_of}
    for other, told in (
        (FoldSplit(folds=3, fold_of=fold_of, block_of=blocks), r"into 3 folds .*settings\.json into 2 \("),
        (
            FoldSplit(folds=2, fold_of={**fold_of, "c": 1}, block_of=blocks, kind="own"),
            r".*\(split own\), .*json .*\(split folds\)",
        ),
    ):
        write_folds(other, searched.folds)
        with (
            pytest.raises(CheckpointError, match=r"folds\.json divides the data " + told),
            open_stage(make_ready(searched, cache), "confirm"),
        ):
            pytest.fail("opened")
