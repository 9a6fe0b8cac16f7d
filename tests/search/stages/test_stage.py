import pytest

from search.folder import SearchFolder, folder_of, lock_stage
from search.memory.events import Asked, Ended, Epoch, Opened
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from search.settings import read_settings, write_settings
from search.stages import stage as stages
from segcore.data.folds import FoldSplit, read_folds, write_folds
from segcore.errors import CheckpointError


@pytest.fixture
def searched(make_settings, make_history, tmp_path) -> SearchFolder:
    """A search of three trials whose best two are to be confirmed on fold 1."""

    def write(script):
        for trial, iou in enumerate((0.5, 0.7, 0.6)):
            script.ask(trial, batch_size=trial + 1, epochs=1)
            metrics = {"iou": iou, "latency_ms": 10.0 * (trial + 1)}
            content = {"trial": trial, "epoch": 1, "metrics": metrics, "picture": None, "verdict": ""}
            script.journal.write(Epoch(**content))
            script.end(trial)

    settings = make_settings(trials=3, confirm=2, folds=2)
    folder = folder_of(settings)
    folder.root.mkdir(parents=True)
    make_history(write)
    (tmp_path / "history" / "journal.jsonl").rename(folder.search_stage.journal)
    write_settings(settings, folder.settings)
    write_folds(FoldSplit(folds=2, fold_of={"a": 0, "b": 1}, block_of={"a": "x", "b": "y"}), folder.folds)
    return folder


def train(folder: SearchFolder, number: int, source: int, iou: float | None, outcome: str = "finished") -> None:
    journal = Journal(folder.confirm_stage.journal)
    content = {"trial": number, "fold": 1, "values": {"epochs": 1}, "params": {}, "source": source}
    journal.write(Asked(**content))
    if iou is not None:
        content = {"trial": number, "epoch": 1, "metrics": {"iou": iou}, "picture": None, "verdict": ""}
        journal.write(Epoch(**content))
    journal.write(Ended(trial=number, outcome=Outcome(outcome), message="" if iou else "no disk [Errno 28]"))
    journal.close()


@pytest.mark.parametrize("stage", ["search", "confirm"])
def test_settings_are_saved_only_when_nothing_stands_against_the_run(searched, make_settings, cache, stage):
    """The search was trained on other data; its confirmation has begun nothing yet."""
    journal = Journal(searched.search_stage.journal)
    journal.write(Opened(cache_key="other data"))
    journal.close()
    before, settings = read_settings(searched.settings), make_settings(trials=43, confirm=3, folds=2)
    with pytest.raises(CheckpointError, match="changed since"):
        if stage == "search":
            stages.run_search(settings, searched, cache, read_folds(searched.folds), extended=settings)
        else:
            stages.run_confirmation(settings, searched, cache, retry=True, save=True)
    assert read_settings(searched.settings) == before
    lock_stage(searched.stages[stage]).release()


def test_retraining_takes_nothing_over_from_other_data(searched, make_settings, cache):
    journal = Journal(searched.confirm_stage.journal)
    journal.write(Opened(cache_key="other data"))
    journal.close()
    found = stages.name_winner(make_settings(trials=3, confirm=2, folds=2), searched)
    with pytest.raises(CheckpointError, match="changed since"):
        stages.run_retraining(make_settings(), searched, cache, found)
