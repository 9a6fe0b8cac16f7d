from search.folder import SearchFolder
from search.memory.journal import Journal
from search.run.trial import STATE_FILE
from search.stages.leftovers import clear_leftovers
from search.storage import locate_storage
from tests.search.conftest import Script


def make(folder, *places):
    for place in places:
        (folder / place).mkdir(parents=True)
        (folder / place / STATE_FILE).touch()


def test_of_dead_runs_only_the_checkpoints_stay_that_a_trial_may_go_on_from(tmp_path, script):
    search = SearchFolder(root=tmp_path / "streets")
    confirm, retrain = search.confirm_stage, search.retrain_stage
    make(confirm.ray, "run-1/trial_0/checkpoint_1", "run-1/trial_0/checkpoint_2", "run-1/trial_0/checkpoint_3")
    make(confirm.ray, "run-1/trial_1/checkpoint_1", "run-2/trial_2/checkpoint_0", "run-3/trial_3/checkpoint_9")
    make(confirm.ray, "run-1/trial_0/checkpoint_2/inside")
    (confirm.ray / "run-1" / "tuner.pkl").touch()
    (confirm.ray / "not-of-ray").mkdir()
    (confirm.ray / "run-link").symlink_to(tmp_path)
    own, other = Journal(confirm.journal, "iou"), Journal(retrain.journal, "iou")
    for journal, places in ((own, (1, 2)), (other, (9,))):
        script.journal = journal
        script.ask(0)
        for epoch in places:
            run = "ray/run-1/trial_0" if journal is own else "../confirm/ray/run-3/trial_3"
            script.write("checkpoint", trial=0, epoch=epoch, path=f"{run}/checkpoint_{epoch}")
    clear_leftovers(confirm, [(confirm, own.history), (retrain, other.history)])
    own.close()
    other.close()
    assert sorted(str(file.parent.relative_to(confirm.ray)) for file in confirm.ray.rglob(STATE_FILE)) == [
        "run-1/trial_0/checkpoint_1", "run-1/trial_0/checkpoint_2", "run-1/trial_0/checkpoint_2/inside",
        "run-3/trial_3/checkpoint_9",
    ]  # fmt: skip
    assert sorted(each.name for each in confirm.ray.iterdir()) == ["not-of-ray", "run-1", "run-3", "run-link"]
    assert (confirm.ray / "run-1" / "tuner.pkl").exists()
    assert tmp_path.is_dir()


def test_of_dead_runs_in_a_bucket_only_those_checkpoints_stay(make_bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    stage = SearchFolder(root=locate_storage(make_bucket()) / "streets").search_stage
    stored = stage.find_stored(stage.ray)
    for place in ("run-1/trial_0/checkpoint_1", "run-1/trial_0/checkpoint_2", "run-2/trial_1/checkpoint_0", "own"):
        stored.write(f"{place}/{STATE_FILE}", b"")
    journal = Journal(stage.journal, "iou")
    script = Script(journal)
    script.ask(0)
    script.write("checkpoint", trial=0, epoch=2, path="ray/run-1/trial_0/checkpoint_2")
    clear_leftovers(stage, [(stage, journal.history)])
    journal.close()
    assert [each.path for each in stored.list_files()] == [
        f"own/{STATE_FILE}", f"run-1/trial_0/checkpoint_2/{STATE_FILE}",
    ]  # fmt: skip
