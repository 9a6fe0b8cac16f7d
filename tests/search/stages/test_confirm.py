import pytest

from search.folder import StageFolder
from search.memory.events import Asked, CheckpointSaved
from search.run.capacity import Capacity
from search.run.stage import Stage
from search.run.trial import STATE_FILE
from search.run.trial_job import TrialJob
from search.stages import confirm
from search.stages.confirm import fill_workers, find_confirmed
from search.verdict.notes import best_note
from search.verdict.selection import can_confirm, choose_confirmed
from segcore.config import TrainConfig
from segcore.data.dividing.split import FoldSplit


class Room(Capacity):
    """So many workers on nodes that may be given trials, whatever others there are."""

    def __init__(self, place, workers):
        super().__init__(place)
        self._workers = workers

    def count(self):
        return self._workers


@pytest.mark.parametrize(("confirm", "possible"), [(0, False), (1, False), (2, True), (5, True)])
def test_a_comparison_needs_two_configurations(make_history, make_settings, confirm, possible):
    def write(script):
        for number, size in enumerate((4, 8)):
            script.ask(number, batch_size=size)
            script.epochs(number, 0.5)

    assert can_confirm(make_history(write), make_settings(confirm=confirm)) is possible


def test_equal_configurations_are_one(make_history, make_settings):
    def write(script):
        for number in range(2):
            script.ask(number)
            script.epochs(number, 0.5)

    assert not can_confirm(make_history(write), make_settings(confirm=3))


@pytest.mark.parametrize(
    ("workers", "wanted"),
    [
        (1, [(5, 2), (7, 2)]),  # a round is never cut
        (3, [(5, 2), (7, 2), (5, 3)]),
        (5, [(5, 2), (7, 2), (5, 3), (7, 3), (5, 4)]),
        (99, [(5, 2), (7, 2), (5, 3), (7, 3), (5, 4), (7, 4)]),
    ],
)
def test_workers_without_a_training_of_this_round_begin_the_next(workers, wanted):
    assert list(fill_workers(((5, 2), (7, 2)), (1, 2, 3, 4), workers)) == wanted


def test_trainings_that_a_retraining_would_repeat_are_found_by_fold_and_seed(script):
    folder = StageFolder(root=script.journal.file.parent)
    values = TrainConfig.from_values({"epochs": 3}).values()

    def train(number, fold, source=5, outcome="finished", **changes):
        content = {"trial": number, "fold": fold, "values": {**values, **changes}, "params": {}, "source": source}
        script.journal.write(Asked(**content))
        checkpoint = folder.ray / str(number)
        checkpoint.mkdir(parents=True)
        (checkpoint / STATE_FILE).touch()
        script.journal.write(CheckpointSaved(trial=number, epoch=3, path=f"ray/{number}"))
        if outcome:
            script.end(number, outcome)
        return checkpoint

    train(0, 1)
    train(1, 2, source=6)
    train(2, 3, epochs=2)
    train(3, 4, outcome="diverged")
    train(4, 5, outcome="")
    (train(5, 6) / STATE_FILE).unlink()
    train(6, 1, seed=3)
    found = find_confirmed(folder, 5, values, "iou")
    assert {place: trial.number for place, trial in found.items()} == {(1, 0): 0, (1, 3): 6}


def test_only_what_is_still_in_the_race_is_trained(
    make_history, make_settings, make_place, script, tmp_path, monkeypatch
):
    """Trial 5 was a candidate when the confirmation was interrupted. Instead of Ray, trainings end at once."""

    def write(search):
        for number in range(2):
            search.ask(number, batch_size=number + 1, epochs=1)
            search.epochs(number, 0.5 + 0.1 * number)
            search.end(number)

    def end_trainings(stage, wanted=None):
        for trial in stage.journal.history.unfinished:
            if wanted is None or trial.number in wanted:
                script.epochs(trial.number, 0.6)
                script.end(trial.number)

    monkeypatch.setattr(confirm, "run_folds", end_trainings)
    script.journal.write(Asked(trial=0, fold=1, values={}, params={}, source=5))
    (tmp_path / "ray" / "half").mkdir(parents=True)
    script.journal.write(CheckpointSaved(trial=0, epoch=1, path="ray/half"))
    settings, split = make_settings(confirm=2, confirm_folds=1), FoldSplit(folds=7, fold_of={}, block_of={})
    job = TrialJob(
        data=tmp_path, cache_root=tmp_path, cache_key="key", extra=(), split=split, cpus=1, gpus=0, metric="iou"
    )  # fmt: skip
    folder = StageFolder(root=tmp_path)
    place = make_place()
    capacity = Room(place, workers=2)
    stage = Stage(
        settings=settings, place=place, folder=folder, journal=script.journal, job=job, capacity=capacity
    )  # fmt: skip
    decision = confirm.confirm_candidates(stage, make_history(write))
    assert {each.trial: each.fold_scores for each in decision.contenders} == {0: {1: 0.6}, 1: {1: 0.6}}
    assert [trial.source for trial in script.journal.history.unfinished] == [5]
    assert (tmp_path / "ray" / "half").is_dir(), "it may be a candidate again, and goes on from there"


def test_only_fold_is_trained_again_with_further_seeds(
    make_history, make_settings, make_place, script, tmp_path, monkeypatch
):
    """Instead of Ray, trainings end at once, with scores by their seeds."""
    scores = {(0, 1): 0.60, (0, 2): 0.62, (1, 11): 0.63, (1, 12): 0.59}

    def write(search):
        for number, seed in enumerate((0, 10)):
            search.ask(number, batch_size=number + 1, epochs=1, seed=seed, patience_epochs=5)
            search.epochs(number, 0.7)
            search.end(number)

    def end_trainings(stage, wanted=None):
        for trial in stage.journal.history.unfinished:
            if trial.number in wanted:
                script.epochs(trial.number, scores[trial.source, trial.values["seed"]])
                script.end(trial.number)

    monkeypatch.setattr(confirm, "run_folds", end_trainings)
    settings = make_settings(confirm=2, confirm_folds=2, split="official", folds=1)
    split = FoldSplit(folds=1, fold_of={"a": None, "b": 0}, block_of={"a": "a", "b": "b"}, kind="official")
    job = TrialJob(
        data=tmp_path, cache_root=tmp_path, cache_key="key", extra=(), split=split, cpus=1, gpus=0, metric="iou"
    )  # fmt: skip
    folder = StageFolder(root=tmp_path)
    place = make_place()
    capacity = Room(place, workers=1)
    stage = Stage(
        settings=settings, place=place, folder=folder, journal=script.journal, job=job, capacity=capacity
    )  # fmt: skip
    history = make_history(write)
    decision = confirm.confirm_candidates(stage, history)
    trained = [(trial.source, trial.fold, trial.values["seed"]) for trial in script.journal.history.in_order]
    assert trained == [(0, 0, 1), (1, 0, 11), (0, 0, 2), (1, 0, 12)]
    assert {trial.values["patience_epochs"] for trial in script.journal.history.in_order} == {0}
    assert {each.trial: each.fold_scores for each in decision.contenders} == {
        0: {1: 0.60, 2: 0.62},
        1: {1: 0.63, 2: 0.59},
    }
    best = choose_confirmed(history, script.journal.history, settings, split)
    # Equal means: the better in the search comes first, and of equals there the earlier.
    assert (best.trial, best.split, best.confirmation.score) == (0, "official", pytest.approx(0.61))
    assert (best.confirmation.folds, best.confirmation.further_seeds) == ([], [1, 2])
    assert best.confirmation.told.startswith("confirmed with 2 further seeds on the official split; no further")
    assert best.confirmation.methods["difference"].startswith("t-interval over seeds")
    assert "Confirmed with 2 further seeds on the official split; no further folds exist." in best_note(best)


def test_of_the_losers_no_checkpoint_stays(make_history, make_settings, make_place, script, tmp_path, monkeypatch):
    """A training that diverges has two, the one before the last for when that is torn."""

    def write(search):
        for number in range(2):
            search.ask(number, batch_size=number + 1, epochs=3)
            search.epochs(number, 0.5 + 0.1 * number)
            search.end(number)

    def end_trainings(stage, command, wanted=None):
        for trial in stage.journal.history.unfinished:
            for epoch in (1, 2):
                path = tmp_path / "ray" / f"{trial.source}-{epoch}"
                path.mkdir(parents=True)
                script.epochs(trial.number, 0.6, first=epoch)
                script.journal.write(CheckpointSaved(trial=trial.number, epoch=epoch, path=f"ray/{path.name}"))
            script.end(trial.number, "finished" if trial.source else "diverged")

    monkeypatch.setattr(confirm, "run_folds", end_trainings)
    settings, split = make_settings(confirm=2, confirm_folds=1), FoldSplit(folds=5, fold_of={}, block_of={})
    job = TrialJob(
        data=str(tmp_path), cache_root=tmp_path, cache_key="key", extra=(), split=split, cpus=1, gpus=0, metric="iou"
    )
    folder = StageFolder(root=tmp_path)
    place = make_place()
    capacity = Room(place, workers=1)
    stage = Stage(
        settings=settings, place=place, folder=folder, journal=script.journal, job=job, capacity=capacity
    )  # fmt: skip
    confirm.confirm_candidates(stage, make_history(write))
    assert not [*folder.ray.glob("0-*")]
    assert (folder.ray / "1-2").is_dir(), "the retraining takes over the winner's"
