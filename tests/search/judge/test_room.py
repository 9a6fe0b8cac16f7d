from pathlib import Path

import pytest

from search.judge.room import Room, estimate_room
from segcore.errors import StorageError

STORAGE = Path("/searches")


@pytest.mark.parametrize(
    ("trials", "concurrent", "expected"),
    [(80, 4, (12, 25)), (10, 4, (12, 6)), (2, 4, (6, 0)), (80, 0, (3, 25))],
    ids=["eight wait at each of three rungs", "few trials", "fewer than run at a time", "no node yet"],
)
def test_room_is_three_checkpoints_of_each_that_runs_and_one_of_each_that_waits(
    make_settings, trials, concurrent, expected
):
    """Rungs after epochs 1, 3 and 9 of 27; and the best trial's."""
    room = estimate_room(make_settings(trials=trials, epochs=27, grace_epochs=1, reduction_factor=3), concurrent, 10)
    assert (room.running, room.resting, room.bytes_each) == (*expected, 10)


def test_room_that_is_needed_is_told_beside_what_is_free():
    room = Room(running=6, resting=4, bytes_each=500_000_000)
    told = "Checkpoints take up to 5.0 GB of /searches at a time (10 of up to 0.50 GB); "
    assert room.compare(STORAGE, 5_000_000_000) == (f"{told}5.0 GB are free.", True)
    assert room.compare(STORAGE, 4_999_000_000) == (
        f"{told}5.0 GB are free, so the disk may get full: make room.",
        False,
    )


def test_a_disk_that_does_not_hold_the_trials_that_run_is_refused():
    room = Room(running=6, resting=4, bytes_each=500_000_000)
    with pytest.raises(StorageError, match=r"2\.9 GB are free: too little for the trials that run alone\. Make room"):
        room.compare(STORAGE, 2_900_000_000)
    assert not room.compare(STORAGE, 3_000_000_000)[1], "six of 0.5 GB just have room"
