import pytest

from search.folder import SearchFolder
from search.insight.record import read_record
from search.place import write_place
from search.settings import write_settings
from segcore.data.dividing.split import FoldSplit, write_folds
from segcore.errors import CheckpointError


@pytest.fixture
def folder(make_settings, make_place) -> SearchFolder:
    """A search that has not begun."""
    place = make_place()
    found = SearchFolder(root=place.storage / "streets")
    found.root.mkdir(parents=True)
    write_settings(make_settings(folds=2, confirm=2, confirm_folds=1), found.settings)
    write_place(place, found.place)
    return found


def test_a_search_that_has_not_begun_has_nothing(folder):
    record = read_record(folder)
    assert (record.best, record.confirmed, record.retrained, dict(record.stages)) == (None, None, False, {})


def test_every_stage_is_read_and_the_winner_named_as_it_stands_now(folder, open_script):
    with open_script(folder.search_stage.journal) as script:
        for trial, iou in enumerate((0.5, 0.7)):
            script.ask(trial, seed=trial)
            script.epochs(trial, iou)
            script.end(trial, "stopped by ASHA" if trial else "finished")
    assert read_record(folder).best.trial == 1
    assert [stop.trial for stop in read_record(folder).stops.all] == [1]
    write_folds(FoldSplit(folds=2, fold_of={"a": 0, "b": 1}, block_of={"a": "a", "b": "b"}), folder.folds)
    with open_script(folder.confirm_stage.journal) as script:
        for number, (source, iou) in enumerate(((1, 0.4), (0, 0.6))):
            script.ask(number, fold=1, source=source, seed=source)
            script.epochs(number, iou)
            script.end(number)
    record = read_record(folder)
    assert (record.best.trial, record.confirmed.score) == (0, 0.6)
    assert list(record.stages) == ["search", "confirm"]


def test_a_model_is_current_while_its_winner_is(folder, open_script):
    with open_script(folder.search_stage.journal) as script:
        script.ask(0)
        script.epochs(0, 0.5)
        script.end(0)
    winner = read_record(folder).best.values
    with open_script(folder.retrain_stage.journal) as script:
        script.ask(0, **winner)
        script.epochs(0, 0.5)
        script.write("closed", metrics={"iou": 0.5}, note="")
    assert read_record(folder).is_model_current
    assert read_record(folder).winner_retraining.metrics == {"iou": 0.5}
    with open_script(folder.search_stage.journal) as script:
        script.ask(1, backbone="resnet18")
        script.epochs(1, 0.9)
    record = read_record(folder)
    assert record.retrained
    assert not record.is_model_current
    assert record.winner_retraining is None


def test_a_damaged_journal_is_refused_with_its_line(folder):
    folder.search_stage.journal.write_text("{}\n")
    with pytest.raises(CheckpointError, match=r"journal\.jsonl, line 1 is damaged"):
        read_record(folder)
