import hashlib
import json
import os
from pathlib import Path

import pytest

from segcore.data import cache_key, cache_record
from segcore.data.caching.key import see_data
from segcore.data.dataset import read_dataset
from segcore.data.sources.contest import ANNOTATIONS_FOLDER, IMAGES_FOLDER
from segcore.errors import DataError


@pytest.fixture
def see(tmp_path, monkeypatch):
    """Return a function that gives the key of a folder's data, and the names of the files whose content was read."""
    root = tmp_path / "cache"
    root.mkdir()
    read = []

    def note(stream, digest):
        read.append(Path(stream.name).name)
        return file_digest(stream, digest)

    file_digest = hashlib.file_digest
    monkeypatch.setattr(cache_key.hashlib, "file_digest", note)

    def look(folder, cache_format="a"):
        read.clear()
        return see_data(read_dataset(folder), root, cache_format).key, sorted(read)

    return look


@pytest.fixture
def settled(monkeypatch):
    """Let files be remembered that were written just now."""
    monkeypatch.setattr(cache_record, "SETTLED_NS", -10_000_000_000)


def test_files_are_read_once_and_then_known_by_what_the_system_says_of_them(make_dataset, see, settled):
    folder = make_dataset()
    key, read = see(folder)
    assert len(read) == 8
    assert see(folder) == (key, [])
    # The same folder by another way.
    assert see(folder.parent / "." / "data" / ".." / "data") == (key, [])


def test_what_was_changed_just_before_it_was_read_is_read_again(make_dataset, see):
    folder = make_dataset()
    key, _ = see(folder)
    again, read = see(folder)
    assert (again, len(read)) == (key, 8)


def test_a_changed_file_is_read_again_and_gives_another_key(make_dataset, see, settled):
    folder = make_dataset()
    key, _ = see(folder)
    mask = folder / ANNOTATIONS_FOLDER / "train_0001.png"
    mask.write_bytes((folder / ANNOTATIONS_FOLDER / "train_0002.png").read_bytes())
    other, read = see(folder)
    assert other != key
    assert read == ["train_0001.jpg", "train_0001.png"]


def test_other_content_of_the_same_size_and_time_is_noticed(make_dataset, see, settled):
    folder = make_dataset()
    key, _ = see(folder)
    image = folder / IMAGES_FOLDER / "train_0000.jpg"
    before = image.stat()
    content = bytearray(image.read_bytes())
    content[-20] ^= 1
    image.write_bytes(content)
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = image.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert see(folder)[0] != key


def test_touched_and_copied_data_keeps_its_key(make_dataset, see, settled):
    folder = make_dataset()
    key, _ = see(folder)
    (folder / IMAGES_FOLDER / "train_0000.jpg").touch()
    again, read = see(folder)
    assert (again, read) == (key, ["train_0000.jpg", "train_0000.png"])
    assert see(make_dataset(name="copy"))[0] == key


def test_key_changes_with_the_form_of_the_cache_the_classes_and_the_facts(make_dataset, see, settled):
    folder = make_dataset()
    keys = [see(folder)[0], see(folder, "b")[0]]
    file = folder / "classes.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "scored": ["road"]}))
    keys.append(see(folder)[0])
    file = folder / ANNOTATIONS_FOLDER / "train_0000.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "frameIndex": 999}))
    keys.append(see(folder)[0])
    assert len(set(keys)) == 4


@pytest.mark.parametrize("known", [False, True])
def test_a_file_that_is_gone_since_the_listing_is_named(make_dataset, tmp_path, settled, known):
    folder = make_dataset()
    dataset = read_dataset(folder)
    if known:
        see_data(dataset, tmp_path, "a")
    (folder / IMAGES_FOLDER / "train_0001.jpg").unlink()
    with pytest.raises(DataError, match=r"train_0001.jpg cannot be read \(No such file or directory\)"):
        see_data(dataset, tmp_path, "a")
