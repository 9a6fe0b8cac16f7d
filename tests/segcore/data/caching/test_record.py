import hashlib
import json
import os
from pathlib import Path

import pytest

from segcore.data.caching.record import SETTLED_NS, SeenFile, read_last_keys, read_record, write_record

KEY = "a" * 32
NOW = 1_800_000_000_000_000_000
OLD = NOW - SETTLED_NS - 1
IMAGE = SeenFile(state=(10, OLD, OLD, 1), digest="0" * 32)
MASK = SeenFile(state=(20, OLD, OLD, 2), digest="1" * 32)
DATA = Path("/data/streets")


def _record(root):
    write_record(root, DATA, KEY, {"a": (IMAGE, MASK)}, NOW)
    (file,) = root.glob("*.files")
    return file


def _rewrite(file, change):
    """Write other content that is whole all the same, as somebody might who means harm."""
    document = json.loads(file.read_bytes().partition(b"\n")[2])
    body = change(document)
    body = body if isinstance(body, bytes) else json.dumps(document).encode()
    file.write_bytes(hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b"\n" + body)


def test_what_was_written_is_read_and_for_that_folder_alone(tmp_path):
    _record(tmp_path)
    assert read_record(tmp_path, DATA) == {"a": (IMAGE, MASK)}
    assert read_record(tmp_path, DATA.parent) == {}
    assert read_last_keys(tmp_path) == {str(DATA): KEY}


@pytest.mark.parametrize("state", [(10, OLD + 1, 0, 1), (10, 0, OLD + 1, 1), (10, 2 * NOW, 0, 1)])
def test_a_file_that_changed_within_two_seconds_is_not_remembered(tmp_path, state):
    fresh = SeenFile(state=state, digest="2" * 32)
    write_record(tmp_path, DATA, KEY, {"a": (IMAGE, fresh), "b": (fresh, MASK), "c": (IMAGE, MASK)}, NOW)
    assert read_record(tmp_path, DATA).keys() == {"c"}


@pytest.mark.parametrize("place", [0, 40, -40, -1])
def test_a_damaged_record_is_as_good_as_none(tmp_path, place):
    file = _record(tmp_path)
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    assert read_record(tmp_path, DATA) == {}
    assert read_last_keys(tmp_path) == {}
    _record(tmp_path)
    assert read_record(tmp_path, DATA) == {"a": (IMAGE, MASK)}


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(format="street-files-2"),
        lambda document: document.update(data=7),
        lambda document: document.update(key="../../etc"),
        lambda document: document.update(more=1),
        lambda document: document.pop("key"),
        lambda document: document.update(files=[]),
        lambda document: document["files"].update(a=[]),
        lambda document: document["files"].update(a=[[1, 2, 3, 4, "0" * 32]]),
        lambda document: document["files"]["a"][0].__setitem__(0, True),
        lambda document: document["files"]["a"][0].__setitem__(1, 1.5),
        lambda document: document["files"]["a"][1].__setitem__(4, "G" * 32),
        lambda document: document["files"]["a"][1].append(0),
        lambda document: b"[" * 100_000,
        lambda document: b"7",
        lambda document: b"\xff",
    ],
)
def test_a_crafted_record_is_as_good_as_none(tmp_path, change):
    _rewrite(_record(tmp_path), change)
    assert read_record(tmp_path, DATA) == {}
    assert read_last_keys(tmp_path) == {}


def test_a_record_of_another_folder_under_this_name_is_not_believed(tmp_path):
    _rewrite(_record(tmp_path), lambda document: document.update(data="/elsewhere"))
    assert read_record(tmp_path, DATA) == {}


@pytest.mark.parametrize("put", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_in_a_records_place_is_not_read(tmp_path, put):
    file = _record(tmp_path)
    file.unlink()
    put(file)
    assert read_record(tmp_path, DATA) == {}


def test_a_record_that_cannot_be_written_is_no_error_and_leaves_nothing(tmp_path):
    file = _record(tmp_path)
    file.unlink()
    (file / "mine").mkdir(parents=True)
    assert _record(tmp_path) == file
    assert list(tmp_path.iterdir()) == [file]
    write_record(tmp_path / "gone", DATA, KEY, {"a": (IMAGE, MASK)}, NOW)
