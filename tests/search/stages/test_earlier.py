import shutil

import pytest

from search.folder import StageFolder, folder_of
from search.memory.journal import read_events
from search.settings import write_settings
from search.stages.earlier import read_earlier
from search.tracking.runs import StageRuns
from segcore.errors import ConfigError


def write_earlier(script) -> None:
    ends = ((0.5, "finished"), (0.9, "failed"), (0.7, "stopped by ASHA"), (0.6, ""))
    for trial, (iou, outcome) in enumerate(ends):
        script.ask(trial, batch_size=trial + 1)
        script.epochs(trial, iou)
        if outcome:
            script.end(trial, outcome)
    script.ask(4, batch_size=3)
    script.epochs(4, 0.65)
    script.ask(5, batch_size=9)
    script.epochs(5, 0.1)
    script.ask(6, batch_size=11)
    script.epochs(6, 0.95)
    script.end(6, "diverged")


def test_three_best_configurations_of_a_search_in_the_storage_come_first(
    make_settings, make_place, make_history, tmp_path
):
    """Trial 1 failed, 6 diverged; trial 4 is trial 2 again."""
    settings = make_settings()
    folder = folder_of(settings, make_place())
    folder.root.mkdir(parents=True)
    make_history(write_earlier)
    (tmp_path / "history" / "journal.jsonl").rename(folder.search_stage.journal)
    write_settings(settings, folder.settings)
    found = read_earlier("streets", make_place())
    assert [values["batch_size"] for values in found] == [3, 4, 1]


def test_search_that_only_mlflow_knows_is_found_there(make_settings, make_place, script, empty_database):
    settings, place = make_settings(name="elsewhere"), make_place()
    place.storage.mkdir()
    shutil.copy(empty_database, place.storage / "mlflow.db")
    for trial, iou in enumerate((0.5, 0.7, 0.6, 0.4)):
        script.ask(trial, batch_size=trial + 1, learning_rate=2.5e-4)
        script.epochs(trial, iou)
    script.ask(4, batch_size=9)
    script.epochs(4, 0.9)
    script.end(4, "out of memory")
    stage = StageFolder(root=script.journal.file.parent)
    StageRuns(settings, place, "search", stage).write(list(read_events(script.journal.file)))
    StageRuns(settings, place, "retrain", stage).write(list(read_events(script.journal.file)))
    found = read_earlier("elsewhere", place)
    assert [values["batch_size"] for values in found] == [2, 3, 1]
    assert found[0] == script.journal.history.trials[1].values


def test_search_that_nobody_knows_is_refused(make_place):
    with pytest.raises(ConfigError, match=r"--warm-start hole: neither .* nor MLflow at sqlite"):
        read_earlier("hole", make_place())


@pytest.mark.parametrize("name", ["../other/streets", "/tmp/streets", "a/b", "..", ""])
def test_what_leads_out_of_the_storage_is_no_name_and_told_with_how_to_take_another_storages_best(make_place, name):
    place = make_place()
    told = rf"--warm-start '{name}' is no name of a search; give that of one in {place.storage} or in MLflow\."
    with pytest.raises(ConfigError, match=f"{told} .* by --seed-config STORAGE/NAME/best.json"):
        read_earlier(name, place)
