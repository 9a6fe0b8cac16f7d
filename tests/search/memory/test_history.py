import json
import math

import pytest

from search.memory.events import Asked, Ended, Event, Reopened, parse_event
from search.memory.history import History
from search.memory.journal import Journal, read_history
from search.memory.outcome import FAILURES, Outcome
from segcore.config import TrainConfig
from segcore.errors import CheckpointError


def event(kind: str, time: float = 0.0, **content: object) -> Event:
    return parse_event(json.dumps({"event": kind, "time": time, **content}).encode())


def asked(trial: int, time: float = 0.0, **content: object) -> Event:
    return event("asked", time, trial=trial, fold=0, values={"epochs": 9}, params={"loss": "ce"}, **content)


def epoch(trial: int, number: int, iou: float | None, **content: object) -> Event:
    return event("epoch", trial=trial, epoch=number, metrics={} if iou is None else {"iou": iou}, **content)


def history_of(*events: Event) -> History:
    history = History("iou")
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
        ),
        event("checkpoint", trial=0, epoch=1, path="/ray/checkpoint_000000"),
        event("restarted", trial=0, message="node gone"),
        event("ended", 8.0, trial=0, outcome="stopped by ASHA", message="rank 3 of 3"),
    )
    trial = history.trials[0]
    assert (trial.number, trial.fold, trial.values, trial.params) == (
        0,
        0,
        TrainConfig(epochs=9).values(),
        {"loss": "ce"},
    )
    assert (trial.started, trial.ended) == (5.0, 8.0)
    assert trial.epochs[1].metrics == {"iou": 0.5, "miou": 0.4}
    assert trial.epochs[1].picture == "trials/0000/epoch_0001.jpg"
    assert (trial.checkpoint, trial.checkpoint_epoch) == ("/ray/checkpoint_000000", 1)
    assert trial.restarts == 1
    assert (trial.outcome, trial.message) == (Outcome.STOPPED, "rank 3 of 3")


def test_next_trial_never_takes_the_number_of_another():
    assert history_of().next_number == 0
    # The lines of trial 1 were cut out of the file.
    assert history_of(asked(0), asked(2)).next_number == 3


def test_trial_that_is_taken_up_again_is_as_one_that_went_on():
    stopped = epoch(0, 2, 0.6, verdict="iou 0.6000 after epoch 2 is rank 2 of 2")
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


def test_trial_without_any_epoch_has_nothing_to_go_on_from():
    assert not history_of(asked(0)).trials[0].can_go_on


def saved(number: int) -> Event:
    return event("checkpoint", trial=0, epoch=number, path=f"/ray/{number}")


def test_the_last_two_checkpoints_are_known_the_last_one_first():
    trial = history_of(asked(0), saved(1), saved(2), saved(3)).trials[0]
    assert list(trial.checkpoints.items()) == [("/ray/3", 3), ("/ray/2", 2)]


def test_a_checkpoint_of_an_epoch_that_is_trained_again_is_known_no_more():
    """The one of epoch 2 was torn, so the trial went on from that of epoch 1."""
    trial = history_of(asked(0), epoch(0, 1, 0.5), saved(1), epoch(0, 2, 0.6), saved(2), epoch(0, 2, 0.6)).trials[0]
    assert trial.checkpoints == {"/ray/1": 1}


@pytest.mark.parametrize("outcome", Outcome)
def test_a_trial_that_ended_well_needs_one_checkpoint_and_one_that_failed_both(outcome):
    trial = history_of(asked(0), saved(1), saved(2), event("ended", trial=0, outcome=outcome)).trials[0]
    well = outcome in ("finished", "stopped by ASHA", "pruned")
    assert trial.checkpoints == ({"/ray/2": 2} if well else {"/ray/2": 2, "/ray/1": 1})


def test_a_person_wants_a_trial_kept_or_ended_and_not_both():
    history = history_of(asked(0), event("kept", trial=0, reason="Ann"))
    assert (history.trials[0].kept, history.trials[0].pruned) == (True, "")
    history.apply(event("pruned", trial=0, reason="Bob"))
    assert (history.trials[0].kept, history.trials[0].pruned) == (False, "Bob")
    history.apply(event("kept", trial=0, reason="Ann"))
    assert (history.trials[0].kept, history.trials[0].pruned) == (True, "")


def test_what_was_said_once_of_a_slow_training_is_remembered():
    history = history_of(asked(0), epoch(0, 1, 0.5, note="waits for its data"), epoch(0, 2, 0.6))
    assert history.trials[0].note == "waits for its data"
    history.apply(epoch(0, 3, 0.6, note="not compiled"))
    assert history.trials[0].note == "not compiled"


def test_pictures_are_known_by_what_they_show():
    several = {"validation": "a.png", "night": "b.png"}
    trial = history_of(
        asked(0), epoch(0, 1, 0.5), epoch(0, 2, 0.5, picture="a.png"), epoch(0, 3, 0.5, pictures=several)
    ).trials[0]
    assert [dict(trial.epochs[number].pictures) for number in (1, 2, 3)] == [{}, {"validation": "a.png"}, several]


def test_best_report_is_the_earliest_of_the_highest():
    history = history_of(asked(0), epoch(0, 1, 0.5), epoch(0, 2, 0.7), epoch(0, 3, 0.7), epoch(0, 4, 0.6))
    assert history.trials[0].best.epoch == 2
    assert history.trials[0].last_epoch == 4


def test_an_epoch_without_a_score_is_never_the_best():
    history = history_of(asked(0), epoch(0, 1, None), epoch(0, 2, 0.1), epoch(0, 3, None), asked(1), epoch(1, 1, None))
    assert history.trials[0].best.epoch == 2
    assert math.isnan(history.trials[0].epochs[1].score)
    assert history.trials[1].best is None
    assert history.trials[0].best_score == 0.1 and math.isnan(history.trials[1].best_score)
    assert [trial.number for trial in history.ranked] == [0]


def test_state_of_a_trial_is_how_it_ended_or_whether_a_worker_has_it():
    ended = event("ended", trial=2, outcome="stopped by ASHA")
    history = history_of(asked(0), asked(1), asked(2), event("started", trial=1), ended)
    assert [trial.state for trial in history.in_order] == ["waiting", "running", "stopped by ASHA"]


def test_ranking_is_by_score_then_by_number():
    scores = {0: 0.5, 1: 0.7, 2: 0.5, 3: 0.9}
    history = history_of(*(asked(trial) for trial in (3, 2, 1, 0)), *(epoch(t, 1, iou) for t, iou in scores.items()))
    assert [trial.number for trial in history.ranked] == [3, 1, 0, 2]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_trial_that_failed_may_not_win_whatever_its_score_was(outcome):
    scores = [asked(0), epoch(0, 1, 0.9), asked(1), epoch(1, 1, 0.5), asked(2)]
    history = history_of(*scores, Ended(trial=0, outcome=outcome))
    assert [trial.number for trial in history.eligible] == ([1] if outcome in FAILURES else [0, 1])


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
    # Its worker died, and it waits for another.
    history.apply(event("restarted", 95.0, trial=0))
    assert not history.trials[0].running


def test_no_trial_runs_when_a_new_run_opens():
    history = history_of(asked(0, 5.0), event("started", 6.0, trial=0), event("opened", 9.0, cache_key="key"))
    assert not history.trials[0].running


def test_no_trial_runs_after_a_run_halted():
    history = history_of(
        event("opened", 1.0, cache_key="key"), asked(0, 5.0), event("started", 6.0, trial=0), event("halted", 9.0),
    )  # fmt: skip
    assert not history.trials[0].running
    assert history.spent_seconds == 8.0


def test_an_epoch_that_is_trained_again_counts_as_it_was_trained_last_and_those_after_it_no_more():
    """Its checkpoint of epoch 3 was lost with a node, so it goes on from that of epoch 1."""
    again = [epoch(0, 1, 0.5), epoch(0, 2, 0.6), epoch(0, 3, 0.9), epoch(0, 2, 0.61)]
    trial = history_of(asked(0), *again).trials[0]
    assert {number: record.score for number, record in trial.epochs.items()} == {1: 0.5, 2: 0.61}
    assert (trial.last_epoch, trial.best.epoch) == (2, 2)


def test_what_is_written_between_two_runs_costs_no_time():
    # 110 - 100 = 10; the failed trial that is taken up again in the morning comes before the next run.
    history = history_of(
        asked(0, 99.0), event("opened", 100.0, cache_key="key"), event("closed", 109.0, metrics={}, note=""),
        event("halted", 110.0), event("reopened", 50_000.0, trial=0), event("opened", 50_001.0, cache_key="key"),
    )  # fmt: skip
    assert history.spent_seconds == 10.0


def test_a_run_that_was_killed_lasted_until_its_last_event():
    history = history_of(
        event("opened", 100.0, cache_key="key"), asked(0, 130.0), event("opened", 50_000.0, cache_key="key"),
    )  # fmt: skip
    assert history.spent_seconds == 30.0


def test_a_trial_that_is_tried_again_keeps_its_epochs_and_its_checkpoint():
    trial = history_of(
        asked(0), epoch(0, 1, 0.5), event("checkpoint", trial=0, epoch=1, path="ray/1"),
        event("ended", trial=0, outcome="failed", message="no disk"), event("reopened", trial=0),
    ).trials[0]  # fmt: skip
    assert (trial.outcome, trial.checkpoint, trial.last_epoch) == (None, "ray/1", 1)


def test_kinds_of_gpu_that_were_too_small_are_known_of_a_trial():
    small = event("ended", trial=0, outcome="out of memory", message="", accelerator="T4")
    history = history_of(asked(0), small)
    assert history.trials[0].too_small == {"T4"}
    history.apply(event("reopened", trial=0, accelerator="A100"))
    assert history.trials[0].accelerator == "A100"
    history.apply(event("ended", trial=0, outcome="out of memory", message="", accelerator="A100"))
    assert history.trials[0].too_small == {"T4", "A100"}


def test_a_failure_says_nothing_of_the_size_of_a_gpu():
    failed = event("ended", trial=0, outcome="failed", message="", accelerator="T4")
    assert history_of(asked(0), failed).trials[0].too_small == frozenset()
    # Nor does one on a device that nobody named.
    nowhere = event("ended", trial=0, outcome="out of memory", message="")
    assert history_of(asked(0), nowhere).trials[0].too_small == frozenset()


@pytest.mark.parametrize(
    "content",
    [
        {"event": "epoch", "epoch": 1, "metrics": {}},
        {"event": "checkpoint", "epoch": 1, "path": "ray/1"},
        {"event": "ended", "outcome": "finished", "message": ""},
        *({"event": kind} for kind in ("started", "restarted", "reopened", "dropped")),
    ],
    ids=lambda content: content["event"],
)
def test_an_event_of_a_trial_that_was_never_asked_for_is_refused(content):
    history = history_of(asked(0))
    with pytest.raises(CheckpointError, match="trial 7 was never asked for"):
        history.apply(parse_event(json.dumps({"time": 1.0, "trial": 7, **content}).encode()))


def test_records_that_are_shown_do_not_change_under_the_reader():
    history = history_of(asked(0), epoch(0, 1, 0.5))
    shown = history.trials[0]
    history.apply(epoch(0, 2, 0.6))
    assert (shown.last_epoch, history.trials[0].last_epoch) == (1, 2)


def test_another_metric_ranks_the_same_journal_anew(script):
    for trial, scores in enumerate([[(0.9, 0.2), (0.1, 0.3)], [(0.2, 0.6), (0.3, 0.5)]]):
        script.ask(trial)
        for epoch, (iou, miou) in enumerate(scores, start=1):
            script.write("epoch", trial=trial, epoch=epoch, metrics={"iou": iou, "miou": miou})
    script.ask(2)
    script.epochs(2, 0.99)
    ranked = {metric: read_history(script.journal.file, metric).ranked for metric in ("iou", "miou")}
    # Trial 2 reports no miou: it has no score there, instead of one of another metric.
    assert [(trial.number, trial.best.epoch, trial.best.score) for trial in ranked["iou"]] == [
        (2, 1, 0.99), (0, 1, 0.9), (1, 2, 0.3),
    ]  # fmt: skip
    assert [(trial.number, trial.best.epoch, trial.best.score) for trial in ranked["miou"]] == [
        (1, 1, 0.6),
        (0, 2, 0.3),
    ]


def test_what_closed_a_stage_stands_until_it_goes_on(open_script, tmp_path):
    file = tmp_path / "journal.jsonl"
    with open_script(file) as script:
        script.ask(0)
        script.end(0)
        script.write("closed", metrics={"iou": 0.5}, note="")
        assert script.journal.history.closed.metrics == {"iou": 0.5}
        script.write("reopened", trial=0)
        assert script.journal.history.closed is None
    assert Journal(file, "iou").history.closed is None


def test_trials_are_found_by_how_they_ended_through_all_that_follows():
    history = history_of(asked(0), asked(1), asked(2))
    for number in (2, 0):
        history.apply(Ended(trial=number, outcome=Outcome.FAILED))
    assert [trial.number for trial in history.list_by_outcome(Outcome.FAILED)] == [0, 2]
    assert [trial.number for trial in history.unfinished] == [1]
    history.apply(Reopened(trial=2))
    history.apply(Asked(trial=0, fold=0, values={}, params={}))
    assert history.list_by_outcome(Outcome.FAILED) == []
    assert [trial.number for trial in history.unfinished] == [0, 1, 2]
    assert (history.count(None), history.count(Outcome.FAILED)) == (3, 0)


@pytest.mark.parametrize(
    ("planned", "outcomes", "expected"),
    [
        (2, ("over a limit", "diverged"), True),
        (2, ("over a limit", "finished"), False),  # the second has a score
        (2, ("over a limit", ""), False),  # the second has not ended
        (3, ("over a limit", "diverged"), False),
    ],
)
def test_a_search_is_vain_when_all_that_was_planned_has_ended_and_none_can_win(planned, outcomes, expected):
    history = history_of(asked(0), asked(1), epoch(1, 1, 0.5))
    for trial, outcome in enumerate(outcomes):
        if outcome:
            history.apply(event("ended", trial=trial, outcome=outcome))
    assert history.is_vain(planned) is expected
