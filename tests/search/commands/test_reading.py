"""What `status` and `list` find out of a search that was written event by event, and what they say of it."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from search.commands import reading
from search.commands.documents import encode_document
from search.commands.filling import fill_line, fill_status
from search.commands.reading import look_at
from search.commands.status_tables import cost_table, scores_table, stage_line
from search.finding import lock_stage
from search.folder import SearchFolder
from search.insight.record import read_record
from search.memory.events import (
    Asked,
    CheckpointSaved,
    Closed,
    Ended,
    Epoch,
    Event,
    Halted,
    Opened,
    Reopened,
    Started,
)
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from search.place import write_place
from search.settings import write_settings
from segcore.config import TrainConfig


@pytest.fixture
def write_stage(make_settings, make_place):
    """Return a function that writes a stage of a search of two trials of two epochs on half a GPU each."""
    settings = make_settings(name="streets", trials=2, epochs=2, confirm=2, confirm_folds=1, folds=3)
    place = make_place(gpus_per_trial=0.5)
    folder = SearchFolder(root=place.storage / "streets")
    folder.root.mkdir(parents=True)
    write_settings(settings, folder.settings)
    write_place(place, folder.place)

    def write(stage: str, *events: Event) -> SearchFolder:
        journal = Journal(folder.stages[stage].journal, "iou")
        journal.write(Opened(cache_key="key", time=100.0))
        for event in events:
            journal.write(event)
        journal.close()
        return folder

    return write


def train(trial: int, *ious: float, begin: float = 100.0, source: int | None = None, end: bool = True) -> list[Event]:
    """Epochs of 90 s."""
    values = TrainConfig.from_values({"epochs": 2, "batch_size": 4 + (trial if source is None else 0)}).values()
    reports = [
        Epoch(trial=trial, epoch=n, metrics={"iou": iou, "seconds": 90.0}, time=begin + 90 * n)
        for n, iou in enumerate(ious, start=1)
    ]
    asked = Asked(trial=trial, fold=0 if source is None else 1, values=values, params={}, source=source, time=begin)
    ended = [Ended(trial=trial, outcome=Outcome.FINISHED, time=begin + 90 * len(ious))]
    return [asked, Started(trial=trial, time=begin), *reports, *(ended if end else [])]


@contextmanager
def driving(folder: SearchFolder, stage: str):
    with lock_stage(folder.stages[stage]):
        yield


def test_trials_and_their_judge_are_of_the_same_moment(write_stage, monkeypatch):
    """A driver may write meanwhile; a trial that it promotes would be said to wait without a checkpoint."""
    checkpoint = CheckpointSaved(trial=0, epoch=1, path="ray/run-1/checkpoint")
    stopped = Ended(trial=0, outcome=Outcome.STOPPED)
    folder = write_stage("search", *train(0, 0.5, end=False), checkpoint, stopped)

    def read_while_it_goes_on(*given):
        record = read_record(*given)
        write_stage("search", Reopened(trial=0))
        return record

    monkeypatch.setattr(reading, "read_record", read_while_it_goes_on)
    look = look_at(folder)
    assert look.record.history.trials[0].outcome is Outcome.STOPPED
    assert look.asha.waits(0)


def test_states_of_a_search_from_its_first_trial_to_its_model(write_stage):
    folder = write_stage("search", *train(0, 0.5, 0.6))
    assert look_at(folder).state == "interrupted"
    with driving(folder, "search"):
        assert look_at(folder).state == "running"
    write_stage("search", *train(1, 0.4, 0.7))
    assert look_at(folder).state == "finished"
    with driving(folder, "retrain"):
        assert look_at(folder).state == "retraining"
    # The winner of the search's fold is trial 1.
    (asked, *trained) = train(0, 0.5, 0.55)
    asked = replace(asked, values=look_at(folder).record.best.values)
    write_stage("retrain", asked, *trained, Halted())
    assert look_at(folder).state == "interrupted"
    write_stage("retrain", Closed(metrics={"iou": 0.55}, note=""), Halted())
    assert look_at(folder).state == "retrained"


def test_search_has_failed_where_all_is_done_and_no_trial_can_win(write_stage):
    def lose(trial: int) -> list[Event]:
        return [*train(trial, end=False), Ended(trial=trial, outcome=Outcome.OVER_LIMIT)]

    assert look_at(write_stage("search", *lose(0))).state == "interrupted"
    assert look_at(write_stage("search", *lose(1))).state == "failed"


def test_model_of_an_earlier_winner_is_none_of_the_search_as_it_is_now(write_stage):
    write_stage("search", *train(0, 0.5, 0.6), *train(1, 0.4, 0.7))
    folder = write_stage("retrain", *train(0, 0.5, 0.55), Closed(metrics={"iou": 0.55}, note=""), Halted())
    assert look_at(folder).state == "finished"


def test_search_whose_confirmation_was_stopped_is_interrupted_until_that_has_ended(write_stage):
    write_stage("search", *train(0, 0.5, 0.6), *train(1, 0.4, 0.7))
    folder = write_stage("confirm", *train(0, 0.5, source=1, end=False), Halted())
    assert look_at(folder).state == "interrupted"
    with driving(folder, "confirm"):
        assert look_at(folder).state == "confirming"
    write_stage("confirm", Closed(metrics={"iou": 0.5}, note=""), Halted())
    assert look_at(folder).state == "finished"


def test_a_driver_that_died_leaves_no_trial_running(write_stage):
    folder = write_stage("search", *train(0, 0.5, end=False))
    assert [line.state for line in fill_status(look_at(folder)).trials] == ["waiting"]
    with driving(folder, "search"):
        assert [line.state for line in fill_status(look_at(folder)).trials] == ["running"]


def test_scores_are_told_by_name_and_costs_by_stage(write_stage, render):
    folder = write_stage("search", *train(0, 0.5, 0.6), *train(1, 0.4, 0.3))
    write_stage("retrain", *train(0, 0.5, 0.52), *train(1, 0.5, 0.58), Closed(metrics={"iou": 0.55}, note=""))
    look = look_at(folder)
    told = render(scores_table(look), 60)
    assert "iou 0.6000" in told
    assert "iou 0.5500" in told
    assert "0.5200 to 0.5800" in " ".join(told.split())
    # Four times 90 s on half a GPU: 180 s, 0.05 hours; both stages alike.
    costs = render(cost_table(look), 60)
    assert [line.split()[-1] for line in costs.splitlines() if "0." in line] == ["0.05", "0.05", "0.10"]
    assert "GPU-hours" in costs
    assert max(len(line.rstrip()) for line in (told + costs).splitlines()) <= 60


def test_a_retraining_under_way_is_told_with_the_time_left(write_stage):
    folder = write_stage("search", *train(0, 0.5, 0.6), *train(1, 0.4, 0.3))
    write_stage("retrain", *train(0, 0.5, 0.52), *train(1, 0.5, end=False))
    assert stage_line(look_at(folder)) == ""
    with driving(folder, "retrain"):
        look = look_at(folder)
        # Of three folds one is done; of the second an epoch of 90 s is all but over, and the third takes two.
        assert look.seconds_left == pytest.approx(180)
        assert stage_line(look) == "retraining: 1 of 3 trainings ended, 1 running  ·  about 3 min left"


def test_trainings_of_who_was_overtaken_are_none_of_those_that_a_confirmation_is_to_have(write_stage):
    """Two are to be trained once; trial 0 was before two others overtook it."""
    folder = write_stage("search", *train(0, 0.4, 0.3), *train(1, 0.5, 0.6), *train(2, 0.5, 0.55))
    write_stage("confirm", *train(0, 0.4, 0.3, source=0), *train(1, 0.5, source=1, end=False))
    with driving(folder, "confirm"):
        assert stage_line(look_at(folder)).startswith("confirming: 1 of at most 3 trainings ended, 1 running")


def test_score_of_an_earlier_winners_retraining_is_called_so(write_stage, render):
    folder = write_stage("search", *train(0, 0.5, 0.6), *train(1, 0.4, 0.7))
    write_stage("retrain", *train(0, 0.5, 0.52), Closed(metrics={"iou": 0.55}, note=""))
    look = look_at(folder)
    told = " ".join(render(scores_table(look), 100).split())
    assert "out of fold iou 0.5500 the retraining of an earlier winner" in told, "trial 1 has won, with batches of 5"
    found = fill_status(look).out_of_fold
    assert (found.score, found.of_winner, fill_line(look).out_of_fold) == (0.55, False, None)


def test_time_left_of_a_search_that_goes_on_beyond_its_budget_is_told(write_stage, make_settings):
    """60 s were to be spent, and 270 are: more was granted. Trial 1 has an epoch of 90 s left."""
    folder = write_stage("search", *train(0, 0.5, 0.6), *train(1, 0.4, begin=280.0, end=False))
    settings = make_settings(name="streets", trials=2, epochs=2, time_budget_seconds=60.0)
    write_settings(settings, folder.settings)
    with driving(folder, "search"):
        assert look_at(folder).seconds_left == pytest.approx(90)
    assert look_at(folder).state == "out of time"


def test_status_as_json_has_reasons_and_all_scores(write_stage):
    stopped = Ended(trial=1, outcome=Outcome.STOPPED, message="rank 2 of 2", time=190.0)
    folder = write_stage("search", *train(0, 0.5, 0.6), *train(1, 0.4, end=False), stopped)
    document = fill_status(look_at(folder))
    assert document.counts == {"finished": 1, "stopped by ASHA": 1}
    assert [(line.reason, line.score) for line in document.trials] == [("", 0.6), ("rank 2 of 2", 0.4)]
    assert (document.best.trial, document.best.score, document.confirmed) == (0, 0.6, None)
    assert '"out_of_fold": null' in encode_document(document)
