import contextlib
import errno
import os
import pickle
import shlex
import shutil
import subprocess

import pytest

from search.memory import journal
from search.memory.events import Asked, Ended, Event, Halted, Opened
from search.memory.journal import Journal, read_events, read_history
from search.memory.outcome import Outcome
from segcore.errors import CheckpointError, StorageError


class Ledger:
    """All that it was told, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def apply(self, event: Event) -> None:
        self.events.append(event)


def test_history_of_the_writer_is_that_of_a_reader(script):
    script.ask(0, loss="ce")
    script.epochs(0, 0.5, None, 0.7)
    script.end(0)
    script.ask(1)
    assert read_history(script.journal.file, "iou").trials == script.journal.history.trials


def test_journal_is_continued_when_it_is_opened_again(script):
    script.ask(0)
    script.journal.close()
    again = Journal(script.journal.file, "iou")
    again.write(Ended(trial=0, outcome=Outcome.FINISHED))
    again.close()
    assert [one.event for one in read_events(again.file)] == ["asked", "ended"]
    assert again.history.trials[0].outcome is Outcome.FINISHED


def test_pickled_journal_goes_on_with_the_same_file(script):
    """Ray Tune pickles the recorder and all that it holds."""
    script.ask(0)
    copy = pickle.loads(pickle.dumps(script.journal))
    copy.close()
    assert copy.file == script.journal.file
    assert set(copy.history.trials) == {0}


def test_missing_journal_has_no_trials(tmp_path):
    assert read_history(tmp_path / "journal.jsonl", "iou").trials == {}


@pytest.mark.parametrize("torn", ['{"event": "ask', '{"event": "ended", "trial": 0, "outcome": "finished"}', "{"])
def test_last_line_cut_short_by_a_crash_is_not_read_and_goes_when_the_journal_is_opened_again(script, torn):
    script.ask(0)
    script.journal.close()
    whole = script.journal.file.read_bytes()
    with script.journal.file.open("a") as stream:
        stream.write(torn)
    assert [one.event for one in read_events(script.journal.file)] == ["asked"]
    again = Journal(script.journal.file, "iou")
    assert script.journal.file.read_bytes() == whole
    again.write(Opened(cache_key="key"))
    again.close()
    assert [one.event for one in read_events(script.journal.file)] == ["asked", "opened"]


@pytest.mark.parametrize("keep", range(0, 60, 7))
def test_journal_cut_anywhere_in_its_last_line_keeps_all_lines_before(script, keep):
    script.ask(0)
    start = script.journal.file.stat().st_size
    script.epochs(0, 0.5)
    script.journal.close()
    os.truncate(script.journal.file, start + keep)
    again = Journal(script.journal.file, "iou")
    again.close()
    assert set(again.history.trials) == {0}
    assert again.history.trials[0].epochs == {}
    assert again.file.stat().st_size == start


def test_a_line_whose_rest_is_written_as_it_is_read_is_no_damage(script, monkeypatch):
    script.ask(0)
    whole = script.journal.file.read_bytes()
    # What readers saw of a disk on which one process appended while another read.
    lines = iter([whole, b'{"event":"halt', b'ed","time":1.0}\n'])
    monkeypatch.setattr(journal, "open_regular", lambda file: contextlib.nullcontext(lines))
    assert [event.event for event in read_events(script.journal.file)] == ["asked"]


def test_who_follows_learns_the_past_and_then_each_event(script):
    script.ask(0)
    script.epochs(0, 0.5)
    early, late, beside = Ledger(), Ledger(), Ledger()
    script.journal.follow(early)
    script.end(0)
    script.journal.follow(late, beside)
    script.ask(1)
    assert [event.event for event in early.events] == ["asked", "epoch", "ended", "asked"]
    assert beside.events == late.events == early.events == list(read_events(script.journal.file))


DAMAGED = {
    "a number": b"7",
    "null": b"null",
    "no JSON": b'{"event": "ask',
    "not UTF-8": b'{"event": "restarted", "trial": 0, "time": 1.0, "message": "\xff"}',
    "a byte": b"\xff",
    "deep": b"[" * 100_000,
    "deep values": b'{"event": "asked", "trial": 1, "fold": 0, "params": {}, "values": '
    + b'{"a":' * 9999
    + b"1"
    + b"}" * 10_000,
    "unknown kind": b'{"event": "noted", "time": 1.0}',
    "a key missing": b'{"event": "opened", "time": 2.0}',
    "an unknown key": b'{"event": "started", "trial": 0, "time": 1.0, "colour": "n"}',
    "true for a number": b'{"event": "started", "trial": true, "time": 1.0}',
    "a text for a number": b'{"event": "started", "trial": "0", "time": 1.0}',
    "no such outcome": b'{"event": "ended", "trial": 0, "outcome": "lost", "message": "", "time": 1.0}',
    "a score that is NaN": b'{"event": "epoch", "trial": 0, "epoch": 1, "metrics": {"iou": NaN}, "time": 1.0}',
    "an epoch before the first": b'{"event": "epoch", "trial": 0, "epoch": 0, "metrics": {}, "time": 1.0}',
    "a trial never asked for": b'{"event": "epoch", "trial": 7, "epoch": 1, "metrics": {}, "time": 1.0}',
    "empty": b"",
}


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_line_is_named_and_the_advice_works(script, line):
    script.ask(0)
    script.journal.close()
    file = script.journal.file
    with file.open("ab") as stream:
        stream.write(line + b"\n" + file.read_bytes().replace(b'"trial":0', b'"trial":1'))
    with pytest.raises(CheckpointError) as caught:
        Journal(file, "iou")
    told = str(caught.value)
    assert told.startswith(f"{file}, line 2 is damaged (")
    subprocess.run(["bash", "-c", told[told.index("head -n 1") :]], check=True)
    assert set(read_history(file, "iou").trials) == {0}


def test_the_advice_can_be_pasted_where_the_folder_has_blanks(tmp_path):
    file = tmp_path / "my searches" / "journal.jsonl"
    journal = Journal(file, "iou")
    journal.write(Asked(trial=0, fold=0, values={}, params={}))
    journal.close()
    file.write_bytes(file.read_bytes() + b"7\n")
    with pytest.raises(CheckpointError) as caught:
        read_history(file, "iou")
    assert shlex.quote(str(file)) in str(caught.value)


class _FullDisk:
    """A stream whose disk takes a few bytes more, and then none."""

    def __init__(self, stream, room: int) -> None:
        self._stream, self._room = stream, room

    def write(self, line: bytes) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken, self._room = line[: self._room], 0
        return self._stream.write(taken)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


@pytest.mark.parametrize("room", [0, 20])
def test_a_full_disk_gives_one_message_and_leaves_a_journal_of_whole_lines(script, room):
    script.ask(0)
    before = script.journal.file.read_bytes()
    script.journal._stream = _FullDisk(script.journal._stream, room)
    with pytest.raises(StorageError, match=r"journal\.jsonl cannot be written \(No space left on device\); make room"):
        script.ask(1)
    # A driver that ends because of it tries to say so, and the disk has no room for that either.
    with pytest.raises(StorageError):
        script.journal.write(Halted())
    script.journal.close()
    assert script.journal.file.read_bytes() == before
    assert set(script.journal.history.trials) == {0}


@pytest.mark.parametrize("fate", ["renamed", "deleted", "replaced"])
def test_a_journal_whose_folder_is_gone_takes_nothing_more_and_says_what_to_do(script, tmp_path, fate):
    script.ask(0)
    script.journal.file.rename(kept := tmp_path / "kept.jsonl")
    if fate == "deleted":
        kept.unlink()
    if fate == "replaced":
        shutil.copy(kept, script.journal.file)
        kept.unlink()
    with pytest.raises(StorageError, match=r"journal\.jsonl is gone: .* unmounted\. Bring it back, or .*--storage"):
        script.ask(1)
    assert set(script.journal.history.trials) == {0}


def test_a_journal_whose_folder_came_back_goes_on(script, tmp_path):
    script.ask(0)
    script.journal.file.rename(kept := tmp_path / "kept.jsonl")
    kept.rename(script.journal.file)
    script.ask(1)
    assert set(read_history(script.journal.file, "iou").trials) == {0, 1}
