import contextlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from segcore.bucket import Bucket, parse_bucket
from segcore.data import bringing
from segcore.data.bringing import bring_data, is_elsewhere, keep_place, name_data
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.errors import ConfigError, DataError, StorageError, StoreAwayError


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def archive(dataset_folder, tmp_path_factory):
    """The streets in a folder of an archive."""
    folder = tmp_path_factory.mktemp("packed")
    shutil.copytree(dataset_folder, folder / "in" / "streets")
    return Path(shutil.make_archive(str(folder / "streets"), "zip", folder / "in"))


@pytest.fixture(scope="module")
def bucket(make_bucket, dataset_folder, archive):
    """A bucket with the streets as a folder and as an archive; shared, so do not change it."""
    bucket = parse_bucket("data", f"{make_bucket()}/data")
    for file in dataset_folder.rglob("*"):
        if file.is_file():
            bucket.upload(file, f"streets/{file.relative_to(dataset_folder).as_posix()}")
    bucket.upload(archive, "streets.zip")
    return bucket


def key_of(folder: Path, tmp_path: Path) -> str:
    return PixelCache(prepare_cache(read_dataset(folder), tmp_path / "decoded")).key


def test_a_folder_is_where_it_is(dataset_folder, root):
    assert bring_data(dataset_folder, root) == dataset_folder
    assert bring_data(str(dataset_folder), root) == dataset_folder
    assert not root.exists()


@pytest.mark.parametrize("kind", ["folder in a bucket", "archive in a bucket", "archive here"])
def test_data_that_is_brought_is_the_same_data_and_brought_once(kind, bucket, archive, dataset_folder, root, tmp_path):
    given = {
        "folder in a bucket": bucket.inside("streets").address,
        "archive in a bucket": bucket.inside("streets.zip").address,
        "archive here": str(archive),
    }[kind]
    lines, steps = [], []
    folder = bring_data(given, root, lambda done, total: steps.append((done, total)), lines.append)
    assert key_of(folder, tmp_path) == key_of(dataset_folder, tmp_path)
    assert len(lines) == 1 and given in lines[0] and str(root) in lines[0]
    assert steps
    seen = folder.stat().st_mtime_ns
    assert bring_data(given, root, None, lines.append) == folder
    assert (len(lines), folder.stat().st_mtime_ns) == (1, seen)
    assert list(root.rglob("*.part*")) == []


def test_folders_that_are_all_that_an_archive_holds_are_gone_through(root, tmp_path):
    """Pascal VOC's archive has VOCdevkit/VOC2012/."""
    with zipfile.ZipFile(tmp_path / "voc.zip", "w") as archive:
        for name in ("JPEGImages/a.jpg", "SegmentationClass/a.png"):
            archive.writestr(f"VOCdevkit/VOC2012/{name}", b"x")
    assert sorted(part.name for part in bring_data(tmp_path / "voc.zip", root).iterdir()) == [
        "JPEGImages",
        "SegmentationClass",
    ]


def test_texts_for_people_beside_the_only_folder_do_not_hide_it(root, tmp_path):
    with zipfile.ZipFile(tmp_path / "streets.zip", "w") as archive:
        for name in ("README.dataset.txt", "LICENSE", "streets/notes.md", "streets/paper.PDF", "streets/v2/names.txt"):
            archive.writestr(name, "")
        archive.writestr("streets/v2/images/a.png", b"")
    assert bring_data(tmp_path / "streets.zip", root).name == "v2"


def test_what_is_hidden_or_left_by_a_system_does_not_hide_the_only_folder_either(root, tmp_path):
    """Of a repository, or of a folder that somebody opened on Windows."""
    with zipfile.ZipFile(tmp_path / "streets.zip", "w") as archive:
        for name in (".gitattributes", ".github/ci.yml", "Thumbs.db", "streets/desktop.ini", "streets/v2/images/a.png"):
            archive.writestr(name, "")
        archive.writestr("streets/v2/masks/a.png", b"")
    assert bring_data(tmp_path / "streets.zip", root).name == "v2"


@pytest.mark.parametrize(
    ("names", "told"),
    [(("a", "a/b"), "'a(/b)?' occurs twice, or as a folder too"), (("n" * 300,), "is too long for a name")],
)
def test_a_name_in_a_bucket_that_no_file_here_can_have_is_told(names, told, make_bucket, root):
    bucket = parse_bucket("data", f"{make_bucket()}/x")
    for name in names:
        bucket.write(name, b"1")
    with pytest.raises(DataError, match=rf"{bucket.address}: .*{told}.*; rename it there") as caught:
        bring_data(bucket.address, root)
    assert "make room" not in str(caught.value)


def test_data_that_changed_is_fetched_anew(make_bucket, root):
    bucket = parse_bucket("data", f"{make_bucket()}/x")
    bucket.write("a.txt", b"1")
    before = bring_data(bucket.address, root)
    bucket.write("a.txt", b"two")
    after = bring_data(bucket.address, root)
    assert ((before / "a.txt").read_bytes(), (after / "a.txt").read_bytes()) == (b"1", b"two")


def test_what_an_earlier_start_left_half_done_is_taken_away(make_bucket, root, monkeypatch):
    bucket = parse_bucket("data", f"{make_bucket()}/x")
    bucket.write("a.txt", b"1")
    with monkeypatch.context() as patch:
        patch.setattr(bringing, "_fetch_files", lambda *given: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(StorageError, match=r"No space left.*make room"):
            bring_data(bucket.address, root)
    identity = next((root / "fetched").glob("*.lock")).stem
    (root / "fetched" / f"{identity}.1.part").mkdir()
    (root / "fetched" / f"{identity}.1.part.x.zip").touch()
    bring_data(bucket.address, root)
    assert {file.name for file in (root / "fetched").iterdir()} == {identity, f"{identity}.lock"}


def test_processes_of_a_node_fetch_once(bucket, root):
    """Two start at once; one fetches, the other waits for it."""
    code = (
        "import sys; from segcore.data.bringing import bring_data; "
        "print(bring_data(sys.argv[1], __import__('pathlib').Path(sys.argv[2]), tell=lambda line: print(line)))"
    )
    given = bucket.inside("streets").address
    started = [
        subprocess.Popen([sys.executable, "-c", code, given, str(root)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=600)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert len({each.splitlines()[-1] for each in said}) == 1
    assert "".join(said).count("of 37 files") == 1


def test_nobody_may_remove_data_before_its_folder_is_found(bucket, root, monkeypatch):
    find, free = bringing._find_root, []

    def look(folder):
        lock = FileLock(folder.with_name(f"{folder.name}.lock"))
        with contextlib.suppress(Timeout), lock.acquire(timeout=0):
            free.append(folder)
        return find(folder)

    monkeypatch.setattr(bringing, "_find_root", look)
    for _ in range(2):
        bring_data(bucket.inside("streets").address, root)
    assert free == []


def test_who_waits_for_another_process_says_so(bucket, root):
    lines = []

    def release(line):
        lines.append(line)
        lock.release()

    given = bucket.inside("streets").address
    folder = bring_data(given, root)
    lock = FileLock(root / "fetched" / f"{folder.name}.lock")
    lock.acquire()
    bring_data(given, root, tell=release)
    assert lines == [f"another process fetches the data into {root / 'fetched'}; waiting for it"]


def test_a_store_that_is_away_for_a_while_is_waited_for(bucket, root, monkeypatch):
    monkeypatch.setattr("segcore.bucket._PAUSE_SECONDS", 0.0)
    download, failed = Bucket.download, []

    def fail_once_each(self, path, target):
        if path not in failed:
            failed.append(path)
            target.write(b"half of it")
            raise StoreAwayError("away")
        download(self, path, target)

    monkeypatch.setattr(Bucket, "download", fail_once_each)
    folder = bring_data(bucket.inside("streets").address, root)
    assert len(failed) == 37
    read_dataset(folder)


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(bucket, root, monkeypatch):
    monkeypatch.setattr(bringing, "_SPARE_BYTES", 1 << 60)
    with pytest.raises(StorageError, match=r"needs .* GiB free; make room"):
        bring_data(bucket.inside("streets").address, root)


def test_a_disk_that_holds_too_few_files_is_told_before_anything_is_fetched(bucket, root, monkeypatch):
    monkeypatch.setattr(bringing, "count_free_files", lambda folder: bringing.SPARE_FILES + 36)
    with pytest.raises(StorageError, match=r"has 37 files, but the disk of .* has room for 36 \(df -i tells\)"):
        bring_data(bucket.inside("streets").address, root)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("missing.zip", "missing.zip cannot be read"),
        ("folder", "is no folder; give the folder of a data set, or an ar"),
    ],
)
def test_what_is_not_there_is_told(given, told, tmp_path, root):
    with pytest.raises(DataError, match=told):
        read_dataset(bring_data(tmp_path / given, root))


def test_a_bucket_without_the_folder_is_told(bucket, root):
    with pytest.raises(DataError, match=r"s3://.*/nothing is empty or not there.*\.zip"):
        bring_data(bucket.inside("nothing").address, root)


@pytest.mark.parametrize("path", ["../x", "a/../../x"])
def test_a_name_in_a_bucket_leads_nowhere_else(path, make_bucket, root, monkeypatch):
    bucket = parse_bucket("data", f"{make_bucket()}/x")
    bucket.write("a", b"1")
    (file,) = bucket.list_files()
    evil = type(file)(path=path, size=1, modified=0.0)
    monkeypatch.setattr(Bucket, "list_files", lambda self, path="": [evil])
    with pytest.raises(DataError, match="outside of the folder"):
        bring_data(bucket.address, root)


def test_the_form_in_which_a_place_is_kept(tmp_path, monkeypatch, s3_server):
    monkeypatch.chdir(tmp_path)
    assert keep_place("data", "streets") == str(tmp_path / "streets")
    assert keep_place("data", "s3://bucket/streets/") == "s3://bucket/streets"
    assert (name_data("streets.zip"), name_data("s3://bucket/streets?region=x"), name_data(".")) == (
        "streets.zip", "streets", tmp_path.name,
    )  # fmt: skip
    assert name_data(tmp_path / "who?" / "streets") == "streets"
    with pytest.raises(ConfigError, match="--extra http://"):
        keep_place("extra", "http://host/streets.zip")


@pytest.mark.parametrize("given", ["~nobody-of-this-name/streets", "~nobody-of-this-name/streets.zip"])
@pytest.mark.parametrize("ask", [bring_data, lambda given, root: is_elsewhere(given)])
def test_a_home_of_nobody_is_told(given, ask, root):
    with pytest.raises(ConfigError, match=r"--data '~nobody-of-this-name/streets.*write the whole path"):
        ask(given, root)


@pytest.mark.parametrize("ask", [lambda root: bring_data("", root), lambda root: keep_place("data", "")])
def test_an_empty_place_of_data_is_refused(tmp_path, ask):
    with pytest.raises(ConfigError, match=r"(?i)a path is empty, .*write \. for"):
        ask(tmp_path)
