import dataclasses
import json
import time

import pytest

from search import drivers
from search.drivers import claimed, is_driven, require_undriven
from segcore.bucket import Bucket, parse_bucket
from segcore.errors import CheckpointError, StorageError


@pytest.fixture
def stored(make_bucket):
    return parse_bucket("storage", f"{make_bucket()}/streets")


@pytest.fixture
def roots(tmp_path):
    """The search's folder on two machines."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    return tmp_path / "here", tmp_path / "there"


def age(stored: Bucket, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let files that are in the bucket now look as if they had been written so long ago."""
    old = {each.path for each in stored.list_files("drivers")}
    listed = Bucket.list_files

    def list_files(self, path=""):
        return [
            dataclasses.replace(each, modified=each.modified - seconds * (each.path in old))
            for each in listed(self, path)
        ]

    monkeypatch.setattr(Bucket, "list_files", list_files)


def test_a_second_driver_is_refused_while_the_first_lives_and_told_whose_it_is(stored, roots):
    here, there = roots
    with claimed(stored, here):
        with pytest.raises(CheckpointError, match=r"in use by process \d+ on .*180 s after"), claimed(stored, there):
            pytest.fail("two drivers")
        with pytest.raises(CheckpointError, match="in use"):
            require_undriven(stored, there)
        require_undriven(stored, here)
    with claimed(stored, there):
        pass
    assert stored.list_files("drivers") == []


def test_one_that_only_tries_does_not_disturb_who_drives(stored, roots):
    here, there = roots
    with claimed(stored, here) as driver:
        trying = drivers.Driver(stored, there)
        trying._show(drives=False)
        driver.require_alone()
        require_undriven(stored, here)


def test_a_driver_that_was_silent_for_long_is_taken_for_dead_and_stops_when_it_wakes(stored, roots, monkeypatch):
    here, there = roots
    with claimed(stored, here) as sleeper:
        age(stored, monkeypatch, drivers.STALE_SECONDS + 1)
        with claimed(stored, there), pytest.raises(CheckpointError, match="took over while this one did not show"):
            sleeper.require_alone()


def test_one_that_was_silent_for_a_little_lives(stored, roots, monkeypatch):
    here, there = roots
    with claimed(stored, here):
        age(stored, monkeypatch, drivers.STALE_SECONDS - 5)
        with pytest.raises(CheckpointError), claimed(stored, there):
            pytest.fail("two drivers")


def test_what_a_killed_driver_of_this_very_folder_left_is_no_obstacle(stored, roots):
    here, _ = roots
    killed = drivers.Driver(stored, here)
    killed._show(drives=True)
    with claimed(stored, here) as driver:
        driver.require_alone()
        assert len(stored.list_files("drivers")) == 1


@pytest.mark.parametrize("hours", [-5, 5])
def test_clock_of_this_machine_decides_nothing(hours, stored, roots, monkeypatch):
    here, there = roots
    moment = time.time() + 3600 * hours
    monkeypatch.setattr(drivers.time, "time", lambda: moment)
    with claimed(stored, here):
        assert is_driven(stored, there), "it lives"
        age(stored, monkeypatch, drivers.STALE_SECONDS + 1)
        assert not is_driven(stored, there), "it is dead"
    assert stored.list_files() == []


def test_who_may_only_read_goes_by_the_clock_of_this_machine(stored, roots, monkeypatch):
    def refuse(self, path, content):
        raise StorageError("it can only be read")

    here, there = roots
    with claimed(stored, here):
        monkeypatch.setattr(Bucket, "write", refuse)
        assert is_driven(stored, there)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", json.dumps({"process": "many"}).encode()])
def test_a_damaged_file_of_a_driver_is_one_that_lives(stored, roots, content):
    stored.write("drivers/x.json", content)
    with pytest.raises(CheckpointError, match=r"process 0 on \?"), claimed(stored, roots[0]):
        pytest.fail("two drivers")
