import hashlib

import pytest

from search.tracking.reading import JournalReader, count_whole_bytes, identify
from segcore.errors import CheckpointError


def test_reader_goes_on_from_a_position(script):
    script.ask(0)
    script.epochs(0, 0.5, 0.6)
    first = JournalReader(script.journal.file)
    assert [event.event for event in first.read(2)] == ["asked", "epoch"]
    second = JournalReader(script.journal.file)
    assert [event.event for event in second.skip_to(first.position)] == ["asked", "epoch"]
    assert second.position == first.position
    assert [event.epoch for event in second.read(20)] == [2]


def test_line_that_is_not_whole_waits(script):
    script.ask(0)
    size = script.journal.file.stat().st_size
    with script.journal.file.open("a") as stream:
        stream.write('{"event": "ask')
    reader = JournalReader(script.journal.file)
    assert [event.event for event in reader.read(20)] == ["asked"]
    assert reader.read(20) == []
    assert (
        reader.read_bytes
        == size
        == count_whole_bytes(script.journal.file)
        == count_whole_bytes(script.journal.file, size)
    )


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_journal_that_was_cut_or_changed_before_a_position_is_read_from_its_start(script, kept):
    script.ask(0)
    script.epochs(0, 0.5, 0.6)
    reader = JournalReader(script.journal.file)
    reader.read(20)
    lines = script.journal.file.read_bytes().splitlines(keepends=True)
    script.journal.file.write_bytes(b"".join([*lines[:kept], *lines[kept + 1 :]]))
    script.epochs(0, 0.7, first=3)
    other = JournalReader(script.journal.file)
    assert other.skip_to(reader.position) == []
    assert len(other.read(20)) == 3


@pytest.mark.parametrize("position", ["all of it", "-1 x", "1.5", " ", "9" * 5000])
def test_position_that_a_person_wrote_is_none(script, position):
    script.ask(0)
    reader = JournalReader(script.journal.file)
    assert reader.skip_to(position) == []
    assert len(reader.read(20)) == 1


def test_no_journal_has_no_events(tmp_path):
    file = tmp_path / "journal.jsonl"
    assert JournalReader(file).read(20) == []
    assert (count_whole_bytes(file), identify(file)) == (0, "")


def test_what_stands_before_a_damaged_line_is_read_and_then_the_line_is_named(script):
    script.ask(0)
    with script.journal.file.open("ab") as stream:
        stream.write(b"\xff\n")
    reader = JournalReader(script.journal.file)
    assert [event.event for event in reader.read(20)] == ["asked"]
    with pytest.raises(CheckpointError, match=r"journal\.jsonl, line 2 is damaged"):
        reader.read(20)


def test_line_damaged_before_a_noted_position_is_named(script):
    script.ask(0)
    script.epochs(0, 0.5, 0.6)
    reader = JournalReader(script.journal.file)
    reader.read(20)
    whole = script.journal.file.read_bytes()
    first, _, third = whole.splitlines(keepends=True)
    script.journal.file.write_bytes(first + b"\xff\n" + third)
    other = JournalReader(script.journal.file)
    with pytest.raises(CheckpointError, match="line 2 is damaged"):
        other.skip_to(reader.position)
    script.journal.file.write_bytes(whole)
    assert len(JournalReader(script.journal.file).skip_to(reader.position)) == 3


@pytest.mark.parametrize(
    "line",
    [
        b'{"event":"opened","cache_key":"abc","time":17.5}\n',
        b'{"time": 17.5, "event": "opened", "cache_key": "abc"}\n',
        b'  {"event":"opened","cache_key":"\\u0061bc","time":1.75e1}\r\n',
    ],
)
def test_journal_is_known_however_an_editor_writes_its_first_line(tmp_path, line):
    written = b'{"event":"opened","cache_key":"abc","time":17.5}\n'
    file = tmp_path / "journal.jsonl"
    file.write_bytes(line)
    assert identify(file) == hashlib.sha256(written).hexdigest()[:16]


def test_journal_whose_first_line_is_damaged_is_known_by_it(tmp_path):
    file = tmp_path / "journal.jsonl"
    file.write_bytes(b"{\n")
    assert identify(file) == hashlib.sha256(b"{\n").hexdigest()[:16]


def test_journal_is_known_by_its_first_line(script, tmp_path):
    assert identify(script.journal.file) == ""
    script.ask(0)
    before = identify(script.journal.file)
    script.epochs(0, 0.5)
    assert identify(script.journal.file) == before != ""
