import math
import os
import pickle

import pytest

from search.memory.history import History
from search.memory.journal import Journal, read_events, read_history
from search.memory.outcome import Outcome
from segcore.errors import CheckpointError


def event(kind: str, time: float = 0.0, **content: object) -> dict:
    return {"event": kind, "time": time, **content}


def asked(trial: int, time: float = 0.0) -> dict:
    return event("asked", time, trial=trial, fold=0, values={"epochs": 9}, params={"loss": "bce"})


def epoch(trial: int, number: int, iou: float | None) -> dict:
    metrics = {} if iou is None else {"iou": iou}
    return event("epoch", trial=trial, epoch=number, metrics=metrics, picture=None, verdict="")


def history_of(*events: dict) -> History:
    history = History()
    for one in events:
        history.apply(one)
    return history


def test_trials_follow_from_the_events():
    history = history_of(
        asked(0, 5.0),
        event(
            "epoch",
            6.0,
            trial=0,
            epoch=1,
            metrics={"iou": 0.5, "miou": 0.4},
            picture="trials/0000/epoch_0001.jpg",
            verdict="",
        ),
        event("checkpoint", trial=0, epoch=1, path="/ray/checkpoint_000000"),
        event("restarted", trial=0, message="node gone"),
        event("ended", 8.0, trial=0, outcome="stopped by ASHA", message="rank 3 of 3"),
    )
    trial = history.trials[0]
    assert (trial.number, trial.fold, trial.values, trial.params) == (0, 0, {"epochs": 9}, {"loss": "bce"})
    assert (trial.started, trial.ended) == (5.0, 8.0)
    assert trial.epochs[1].metrics == {"iou": 0.5, "miou": 0.4}
    assert trial.epochs[1].picture == "trials/0000/epoch_0001.jpg"
    assert (trial.checkpoint, trial.checkpoint_epoch) == ("/ray/checkpoint_000000", 1)
    assert trial.restarts == 1
    assert (trial.outcome, trial.message) == (Outcome.STOPPED, "rank 3 of 3")


def test_an_epoch_that_was_trained_again_counts_once_with_its_last_score():
    """A worker that dies after a report and before its checkpoint trains that epoch again."""
    history = history_of(asked(0), epoch(0, 1, 0.5), epoch(0, 2, 0.6), epoch(0, 2, 0.61))
    assert {number: record.iou for number, record in history.trials[0].epochs.items()} == {1: 0.5, 2: 0.61}


def test_trial_that_is_taken_up_again_is_as_one_that_went_on():
    stopped = event(
        "epoch", trial=0, epoch=2, metrics={"iou": 0.6}, picture=None, verdict="iou 0.6000 after epoch 2 is rank 2 of 2"
    )
    ended = event("ended", 8.0, trial=0, outcome="stopped by ASHA", message="iou 0.6000 after epoch 2 is rank 2 of 2")
    history = history_of(asked(0, 5.0), epoch(0, 1, 0.5), stopped, ended)
    assert history.unfinished == []
    history.apply(event("reopened", 9.0, trial=0))
    assert history.trials == history_of(asked(0, 5.0), epoch(0, 1, 0.5), epoch(0, 2, 0.6)).trials
    history.apply(event("started", 10.0, trial=0))
    assert (history.trials[0].running, history.trials[0].started) == (True, 5.0)


def test_trial_can_go_on_from_a_checkpoint_of_its_last_epoch():
    history = history_of(asked(0), epoch(0, 1, 0.5))
    found = [history.trials[0].can_go_on]
    for one in (
        event("checkpoint", trial=0, epoch=1, path="/ray/1"),
        epoch(0, 2, 0.6),
        event("checkpoint", trial=0, epoch=2, path="/ray/2"),
        event("dropped", trial=0),
    ):
        history.apply(one)
        found.append(history.trials[0].can_go_on)
    assert found == [False, True, False, True, False]
    assert history.trials[0].checkpoint is None


def test_proposals_ahead_of_a_trial_are_kept_with_it():
    history = history_of({**asked(0), "ahead": [{"loss": "focal"}]}, asked(1))
    assert [trial.ahead for trial in history.in_order] == [[{"loss": "focal"}], []]


def test_unknown_events_change_nothing():
    assert history_of(event("noted", trial=7, text="of a later version")).trials == {}


def test_best_report_is_the_earliest_of_the_highest():
    history = history_of(asked(0), epoch(0, 1, 0.5), epoch(0, 2, 0.7), epoch(0, 3, 0.7), epoch(0, 4, 0.6))
    assert history.trials[0].best.epoch == 2
    assert history.trials[0].last_epoch == 4


def test_an_epoch_without_a_score_is_never_the_best():
    history = history_of(asked(0), epoch(0, 1, None), epoch(0, 2, 0.1), epoch(0, 3, None), asked(1), epoch(1, 1, None))
    assert history.trials[0].best.epoch == 2
    assert math.isnan(history.trials[0].epochs[1].iou)
    assert history.trials[1].best is None
    assert [trial.number for trial in history.ranked] == [0]


def test_ranking_is_by_score_then_by_number():
    scores = {0: 0.5, 1: 0.7, 2: 0.5, 3: 0.9}
    history = history_of(*(asked(trial) for trial in (3, 2, 1, 0)), *(epoch(t, 1, iou) for t, iou in scores.items()))
    assert [trial.number for trial in history.ranked] == [3, 1, 0, 2]


def test_counts_by_outcome():
    history = history_of(
        *(asked(trial) for trial in range(5)),
        event("ended", trial=1, outcome="finished", message=""),
        event("ended", trial=3, outcome="finished", message=""),
        event("ended", trial=4, outcome="diverged", message="loss"),
    )
    assert [trial.number for trial in history.unfinished] == [0, 2]
    assert (history.count(None), history.count(Outcome.FINISHED), history.count(Outcome.DIVERGED)) == (2, 2, 1)
    assert history.count(Outcome.FAILED) == 0


def test_spent_seconds_are_those_of_all_runs_without_the_pauses_between():
    history = history_of(
        event("opened", 100.0, cache_key="key"), asked(0, 101.0),
        event("ended", 130.0, trial=0, outcome="finished", message=""),
        event("opened", 1000.0, cache_key="key"), asked(1, 1002.0),
        event("checkpoint", 1007.0, trial=1, epoch=1, path="x"),
    )  # fmt: skip
    # 130 - 100 = 30 and 1007 - 1000 = 7.
    assert history.spent_seconds == 37.0


def test_a_journal_that_was_never_opened_by_a_run_has_spent_nothing():
    assert history_of(asked(0, 5.0), epoch(0, 1, 0.5)).spent_seconds == 0.0


def test_history_of_the_writer_is_that_of_a_reader(script):
    script.ask(0, loss="bce")
    script.epochs(0, 0.5, None, 0.7)
    script.end(0)
    script.ask(1)
    assert read_history(script.journal.file).trials == script.journal.history.trials


def test_journal_is_continued_when_it_is_opened_again(script):
    script.ask(0)
    script.journal.close()
    again = Journal(script.journal.file)
    again.write("ended", {"trial": 0, "outcome": "finished", "message": ""})
    again.close()
    assert [one["event"] for one in read_events(again.file)] == ["asked", "ended"]
    assert again.history.trials[0].outcome is Outcome.FINISHED


def test_pickled_journal_goes_on_with_the_same_file(script):
    """Ray Tune pickles the recorder and all that it holds."""
    script.ask(0)
    copy = pickle.loads(pickle.dumps(script.journal))
    copy.close()
    assert copy.file == script.journal.file
    assert set(copy.history.trials) == {0}


def test_missing_journal_has_no_trials(tmp_path):
    assert read_history(tmp_path / "journal.jsonl").trials == {}


@pytest.mark.parametrize("torn", ['{"event": "ask', '{"event": "ended", "trial": 0, "outcome": "finished"}', "{"])
def test_last_line_cut_short_by_a_crash_is_not_read_and_goes_when_the_journal_is_opened_again(script, torn):
    script.ask(0)
    script.journal.close()
    whole = script.journal.file.read_bytes()
    with script.journal.file.open("a") as stream:
        stream.write(torn)
    assert [one["event"] for one in read_events(script.journal.file)] == ["asked"]
    again = Journal(script.journal.file)
    assert script.journal.file.read_bytes() == whole
    again.write("opened", {"cache_key": "key"})
    again.close()
    assert [one["event"] for one in read_events(script.journal.file)] == ["asked", "opened"]


@pytest.mark.parametrize("keep", range(0, 60, 7))
def test_journal_cut_anywhere_in_its_last_line_keeps_all_lines_before(script, keep):
    script.ask(0)
    start = script.journal.file.stat().st_size
    script.epochs(0, 0.5)
    script.journal.close()
    os.truncate(script.journal.file, start + keep)
    again = Journal(script.journal.file)
    again.close()
    assert set(again.history.trials) == {0}
    assert again.history.trials[0].epochs == {}
    assert again.file.stat().st_size == start


def test_line_damaged_in_the_middle_is_refused_with_its_number(script):
    for trial in range(3):
        script.ask(trial)
    script.journal.close()
    lines = script.journal.file.read_text().splitlines(keepends=True)
    script.journal.file.write_text(lines[0] + lines[1][:20] + "\n" + lines[2])
    with pytest.raises(CheckpointError, match=r"journal\.jsonl, line 2 is damaged .* restore the file, or delete"):
        Journal(script.journal.file)


def test_time_after_a_run_closed_is_not_spent():
    # A resume that finds nothing to do writes "closed" again: 10 seconds were spent, not 900.
    history = history_of(
        event("opened", 100.0, cache_key="key"), event("closed", 110.0), event("closed", 1000.0),
    )  # fmt: skip
    assert history.spent_seconds == 10.0


def test_history_knows_the_data_of_the_last_run():
    history = history_of(event("opened", 1.0, cache_key="old"), event("opened", 2.0, cache_key="new"))
    assert history.cache_key == "new"


def test_time_that_a_trial_waited_for_a_worker_is_not_its_own():
    # Asked at 5, taken at 50; taken again at 90 after its first epoch, which changes nothing.
    history = history_of(
        asked(0, 5.0), event("started", 50.0, trial=0), epoch(0, 1, 0.5), event("started", 90.0, trial=0),
    )  # fmt: skip
    assert history.trials[0].started == 50.0
    assert history.trials[0].running


def test_no_trial_runs_when_a_new_run_opens():
    history = history_of(asked(0, 5.0), event("started", 6.0, trial=0), event("opened", 9.0, cache_key="key"))
    assert not history.trials[0].running


def test_no_trial_runs_after_a_run_halted():
    history = history_of(
        event("opened", 1.0, cache_key="key"), asked(0, 5.0), event("started", 6.0, trial=0), event("halted", 9.0),
    )  # fmt: skip
    assert not history.trials[0].running
    assert history.spent_seconds == 8.0
