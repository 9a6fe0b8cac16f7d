from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.drill.account import Account
from benchmarks.drill.faults import FAULTS, UNDISTURBED, Fault, is_midway, kill_worker
from benchmarks.drill.run import Size, find_faults, hold
from benchmarks.drill.table import format_head, format_row
from search.memory.events import Asked, CheckpointSaved, Ended, Epoch, Started
from search.memory.history import History
from search.memory.outcome import Outcome
from segcore.config import TrainConfig

SOUND = Account(
    exit_codes=(2, 0),
    trials=4,
    unended=0,
    lost=0,
    repeated_epochs=1,
    runs=4,
    running=0,
    doubled_points=0,
    missing_points=0,
    winner="learning_rate=0.01 iou=0.500000",
    traceback=False,
    left=(),
    seconds=61.4,
)


def test_a_search_that_went_on_as_if_nothing_had_happened_is_sound():
    assert find_faults(SOUND, UNDISTURBED, SOUND.winner) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"exit_codes": (2, 2)}, "ended with 2"),
        ({"exit_codes": (None,)}, "ended with None"),
        ({"unended": 1}, "1 trials without an end"),
        ({"lost": 1}, "1 trials lost"),
        ({"repeated_epochs": 2}, "2 epochs trained again"),
        ({"runs": 6}, "+2 runs in MLflow"),
        ({"runs": 3}, "-1 runs in MLflow"),
        ({"running": 1}, "1 runs RUNNING"),
        ({"doubled_points": 3}, "3 points doubled"),
        ({"missing_points": 3}, "3 points missing"),
        ({"winner": "none"}, "another winner: none"),
        ({"traceback": True}, "a traceback"),
        ({"left": ("street-search-x",)}, "left: street-search-x"),
    ],
)
def test_whatever_is_not_as_it_should_be_is_told(changes, told):
    assert find_faults(replace(SOUND, **changes), UNDISTURBED, SOUND.winner) == [told]


def test_what_a_driver_must_say_is_asked_for():
    fault = replace(UNDISTURBED, said="make room")
    assert find_faults(SOUND, fault, None, "the disk is full; make room") == []
    assert find_faults(SOUND, fault, None, "Killed") == ["nothing said of 'make room'"]


def test_what_ray_prints_of_a_lost_node_is_no_part_of_what_a_search_says():
    printed = "[33m(raylet)[0m The node with node id: 67d0 has been marked dead"
    assert find_faults(SOUND, UNDISTURBED, SOUND.winner, printed) == ["a log of Ray's among what is said"]


def test_a_fault_strikes_in_mid_epoch_of_a_second_trial():
    history = History("iou")
    values = TrainConfig().values()
    steps = [
        Asked(trial=0, fold=0, values=values, params={}),
        Started(trial=0),
        Epoch(trial=0, epoch=1, metrics={"iou": 0.5}),
        CheckpointSaved(trial=0, epoch=1, path="a"),
        Ended(trial=0, outcome=Outcome.STOPPED),
        Asked(trial=1, fold=0, values=values, params={}),
        Started(trial=1),
        Epoch(trial=1, epoch=1, metrics={"iou": 0.5}),
        CheckpointSaved(trial=1, epoch=1, path="b"),
    ]
    due = []
    for event in steps:
        history.apply(event)
        due.append(is_midway(history))
    assert due == [False] * 8 + [True]


def test_a_row_has_a_cell_for_each_column():
    head, rule = format_head()
    row = format_row("node killed", "ours", SOUND, ["a traceback"])
    assert row == "| node killed | ours | 2 0 | 4 | 0 | 0 | 1 | +0 | 0 | 0 | 0 | 61 | a traceback |"
    assert row.count("|") == head.count("|") == rule.count("|")


def test_faults_have_names_of_their_own():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_what_strikes_the_search_itself_is_not_struck_at_later_stages():
    later = {fault.name for fault in FAULTS if fault.is_of_any_stage}
    assert later >= {"worker killed in mid-epoch", "driver killed", "MLflow away", "bucket away", "checkpoint torn"}
    assert later.isdisjoint(
        {"disk full", "MLflow not there at the launch", "half of the trainings diverge", "cache torn"}
    )


@pytest.mark.slow
def test_search_on_two_nodes_outlives_its_worker(tmp_path: Path, dataset_folder: Path):
    """The smallest of drills: a head, two nodes, an MLflow server; what it finds is what `make drill` prints."""
    fault = Fault(name="worker", strike=kill_worker)
    size = Size(trials=2, epochs=2, seconds=900)
    account = hold(fault, "ours", size, dataset_folder, tmp_path / "drill")
    assert account.trials == 2
    assert account.exit_codes == (0,)
    assert find_faults(account, fault, None) == []
