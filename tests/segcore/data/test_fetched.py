import shutil

import pytest
from filelock import FileLock

from segcore.bucket import parse_bucket
from segcore.data.bringing import bring_data
from segcore.data.fetched import is_fetched, list_fetched, list_unfinished, remove_fetched, remove_unfinished
from segcore.errors import StorageError

IDENTITY = "0123456789abcdef" * 2


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def bucket(make_bucket):
    """A bucket with a folder of two files of three bytes together."""
    bucket = parse_bucket("data", f"{make_bucket()}/x")
    bucket.write("a.txt", b"1")
    bucket.write("b.txt", b"23")
    return bucket


def test_what_was_fetched_is_listed_and_removed(bucket, root, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "c.txt").write_bytes(b"4567")
    archive = shutil.make_archive(str(tmp_path / "data"), "zip", tmp_path / "in")
    assert list_fetched(root) == {}
    folders = [bring_data(each, root) for each in (bucket.address, archive)]
    assert all(map(is_fetched, folders)) and not is_fetched(tmp_path / "in")
    assert list_fetched(root) == dict(sorted(zip(folders, (3, 4), strict=True)))
    for folder in folders:
        remove_fetched(folder)
    assert list_fetched(root) == {}
    assert list_unfinished(root) == ()
    # As where somebody else was faster.
    remove_fetched(folders[0])


def test_data_that_somebody_else_removes_meanwhile_hides_no_other(bucket, root, monkeypatch):
    folder = bring_data(bucket.address, root)
    (root / "fetched" / IDENTITY).mkdir()
    rglob = type(folder).rglob

    def walk(self, pattern):
        if self.name == IDENTITY:
            raise FileNotFoundError
        return rglob(self, pattern)

    monkeypatch.setattr(type(folder), "rglob", walk)
    assert list_fetched(root) == {folder: 3}


def test_data_whose_removal_was_cut_short_is_not_taken_for_whole(bucket, root, monkeypatch):
    folder = bring_data(bucket.address, root)

    def remove_one(place):
        (place / "a.txt").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", remove_one)
        remove_fetched(folder)
    assert list_fetched(root) == {}
    assert [part.name.partition(".")[0] for part in list_unfinished(root)] == [folder.name]
    assert sorted(file.name for file in bring_data(bucket.address, root).iterdir()) == ["a.txt", "b.txt"]
    assert list_unfinished(root) == ()


def test_what_killed_starts_left_is_listed_and_removed_and_what_is_fetched_now_stays(root):
    others = ("fedcba9876543210" * 2, "notes")
    assert list_unfinished(root) == ()
    for name in (f"{IDENTITY}.1.part", f"{others[0]}.2.part", others[1]):
        (root / "fetched" / name).mkdir(parents=True)
    (root / "fetched" / f"{IDENTITY}.1.part.streets.zip").touch()
    assert len(list_unfinished(root)) == 3
    with FileLock(root / "fetched" / f"{others[0]}.lock"):
        remove_unfinished(root)
    assert [part.name for part in list_unfinished(root)] == [f"{others[0]}.2.part"]
    remove_unfinished(root)
    assert sorted(file.name for file in (root / "fetched").iterdir() if file.is_dir()) == [others[1]]


def test_a_place_that_cannot_be_read_or_removed_is_told(root):
    root.mkdir()
    (root / "fetched").touch()
    for ask in (list_fetched, list_unfinished):
        with pytest.raises(StorageError, match="fetched cannot be read"):
            ask(root)
    with pytest.raises(StorageError, match=r"cannot be removed.*by hand"):
        remove_fetched(root / "fetched" / IDENTITY)
