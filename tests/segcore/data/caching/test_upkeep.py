import json
import os
import shutil
from dataclasses import replace

import pytest
from filelock import FileLock

from segcore.data.caching import upkeep
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.upkeep import (
    CacheState,
    choose_caches,
    find_faults,
    list_caches,
    remove_cache,
    remove_leftovers,
)
from segcore.data.dataset import read_dataset
from segcore.errors import ConfigError, StorageError


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def prepared(make_dataset, root):
    """The cache of four images of 32 x 48."""
    return prepare_cache(read_dataset(make_dataset()), root)


def _states(root):
    return {cache.folder.name: cache.state for cache in list_caches(root).caches}


def _relabel(folder, **changes):
    file = folder / "index.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_folder_that_is_not_there_holds_nothing(root):
    shelf = list_caches(root)
    assert (shelf.caches, shelf.parts, shelf.locks) == ((), (), ())


def test_a_cache_is_listed_with_its_data_size_and_last_use(prepared, root):
    os.utime(prepared, (1e9, 1e9))
    (cache,) = list_caches(root).caches
    assert (cache.folder, cache.state, cache.used) == (prepared, CacheState.CURRENT, 1e9)
    assert (cache.data, cache.images) == (str(root.parent / "data"), 4)
    # Four bytes a pixel, a look of each image, and the index.
    assert cache.bytes == 4 * (32 * 48 * 4 + 32 * 32) + (prepared / "index.json").stat().st_size
    prepare_cache(read_dataset(root.parent / "data"), root)
    assert list_caches(root).caches[0].used > 1.5e9


def test_a_cache_of_changed_data_is_replaced_unless_other_data_is_equal(prepared, root):
    data = root.parent / "data"
    twin = shutil.copytree(data, root.parent / "twin")
    (data / "classes.json").write_text((data / "classes.json").read_text().replace("sky", "heaven"))
    later = prepare_cache(read_dataset(data), root)
    assert _states(root) == {prepared.name: CacheState.REPLACED, later.name: CacheState.CURRENT}
    assert prepare_cache(read_dataset(twin), root) == prepared
    assert _states(root) == {prepared.name: CacheState.CURRENT, later.name: CacheState.CURRENT}


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda folder: _relabel(folder, format="street-cache-2"), CacheState.OTHER_VERSION),
        (lambda folder: _relabel(folder, format=["street-cache-6"]), CacheState.DAMAGED),
        (lambda folder: _relabel(folder, cases={}), CacheState.DAMAGED),
        (lambda folder: (folder / "index.json").write_text("[" * 100_000), CacheState.DAMAGED),
        (lambda folder: (folder / "index.json").unlink(), CacheState.DAMAGED),
        (lambda folder: (folder / "masks.u8").unlink(), CacheState.DAMAGED),
        (lambda folder: (folder / "images.u8").write_bytes(b""), CacheState.DAMAGED),
    ],
)
def test_what_no_start_would_use_is_told(prepared, root, change, state):
    change(prepared)
    assert _states(root) == {prepared.name: state}


def test_a_pipe_as_index_is_not_read(prepared, root):
    (prepared / "index.json").unlink()
    os.mkfifo(prepared / "index.json")
    assert _states(root) == {prepared.name: CacheState.DAMAGED}


def test_removed_cache_leaves_nothing_and_may_be_made_again(prepared, root):
    (cache,) = list_caches(root).caches
    remove_cache(cache)
    assert not prepared.exists()
    assert [file.suffix for file in root.iterdir()] == [".files"]
    assert prepare_cache(read_dataset(root.parent / "data"), root) == prepared


def test_a_cache_that_is_being_prepared_is_not_removed(prepared, root):
    (cache,) = list_caches(root).caches
    with (
        FileLock(root / f"{prepared.name}.lock"),
        pytest.raises(StorageError, match="is being prepared or removed by another"),
    ):
        remove_cache(cache)
    assert _states(root) == {prepared.name: CacheState.CURRENT}


def test_a_cache_that_somebody_else_removes_meanwhile_is_passed_over(prepared, root, monkeypatch):
    (cache,) = list_caches(root).caches

    def read(folder):
        shutil.rmtree(folder)
        return {}

    monkeypatch.setattr(upkeep, "_read_index", read)
    assert list_caches(root).caches == ()
    remove_cache(cache)


def test_what_is_not_ours_is_neither_listed_nor_removed(prepared, root, tmp_path):
    outside = tmp_path / "outside"
    shutil.copytree(prepared, outside)
    (root / ("1" * 32)).symlink_to(outside)
    (root / ("2" * 32 + ".77.part")).symlink_to(outside)
    (root / ("3" * 32 + ".lock")).symlink_to(outside / "index.json")
    (root / ("4" * 32)).mkdir()
    (root / ("4" * 32) / "thesis.odt").touch()
    (root / "photographs").mkdir()
    (root / "notes.lock").touch()
    before = sorted(file.name for file in root.iterdir())
    shelf = list_caches(root)
    assert [cache.folder for cache in shelf.caches] == [prepared]
    assert (shelf.parts, shelf.locks) == ((), ())
    remove_leftovers(shelf)
    assert sorted(file.name for file in root.iterdir()) == before
    assert sorted(file.name for file in outside.iterdir()) == ["images.u8", "index.json", "looks.u8", "masks.u8"]


@pytest.mark.parametrize("name", ["thesis.odt", "masks.u8"])
def test_a_cache_with_something_else_in_it_is_left_whole(prepared, root, tmp_path, name):
    (tmp_path / "mine").write_text("mine")
    (prepared / name).unlink(missing_ok=True)
    (prepared / name).symlink_to(tmp_path / "mine")
    (cache,) = list_caches(root).caches
    with pytest.raises(StorageError, match=rf"holds what no cache holds \({name}\)"):
        remove_cache(cache)
    assert (prepared / "index.json").exists()
    assert (tmp_path / "mine").read_text() == "mine"


def test_leftovers_of_killed_builds_are_removed_and_what_is_being_made_stays(prepared, root):
    for key in ("1" * 32, "2" * 32):
        part = root / f"{key}.4242.part"
        part.mkdir()
        (part / "images.u8").touch()
        (root / f"{key}.lock").touch()
    assert [part.name[0] for part in list_caches(root).parts] == ["1", "2"]
    with FileLock(root / f"{'2' * 32}.lock"):
        remove_leftovers(list_caches(root))
        assert [part.name[0] for part in list_caches(root).parts] == ["2"]
        assert [lock.name[0] for lock in list_caches(root).locks] == ["2"]
    remove_leftovers(list_caches(root))
    shelf = list_caches(root)
    assert (shelf.parts, shelf.locks) == ((), ())
    assert [cache.folder for cache in shelf.caches] == [prepared]


def test_key_may_be_given_by_a_beginning_that_only_one_has(prepared, root):
    shelf = list_caches(root)
    (cache,) = shelf.caches
    key = cache.folder.name
    other = replace(cache, folder=cache.folder.with_name(key[:8] + "x" * 24))
    shelf = replace(shelf, caches=(cache, other))
    assert choose_caches(shelf, [key, key[:9]]) == (cache,)
    for given, fault in ((key[:8], "several keys begin so"), ("zz", "no cache"), ("", "no cache")):
        with pytest.raises(ConfigError, match=fault):
            choose_caches(shelf, [given])


def test_reading_through_names_what_changed(prepared, root):
    (cache,) = list_caches(root).caches
    assert find_faults(cache) == ""
    content = bytearray((prepared / "masks.u8").read_bytes())
    # The first pixel of the second mask.
    content[32 * 48] ^= 1
    (prepared / "masks.u8").write_bytes(content)
    assert find_faults(cache).startswith("1 image is not what was written, train_0001 first")
    (prepared / "masks.u8").unlink()
    assert "masks.u8 has -1 bytes" in find_faults(cache)
