import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import segcore
from segcore.data.caching.build import BuildPlan, prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import decode_case, read_dataset
from segcore.data.sources.contest import ANNOTATIONS_FOLDER, IMAGES_FOLDER
from segcore.errors import DataError, StorageError

MIXED_SIZES = ((32, 48), (40, 32), (33, 35), (64, 96))


def _prepare(folder, root):
    """Return the cache's folder and how many cases were decoded for it."""
    decoded = []
    place = prepare_cache(read_dataset(folder), root, lambda done, total: decoded.append((done, total)))
    return place, len(decoded)


def _assert_equals_files(cache, folder):
    dataset = read_dataset(folder)
    assert len(cache) == len(dataset.cases)
    for index, case in enumerate(dataset.cases):
        decoded = decode_case(case)
        np.testing.assert_array_equal(cache.image_HW3(index), decoded.image_HW3)
        np.testing.assert_array_equal(cache.image_HW3(index), np.array(Image.open(case.image)))
        np.testing.assert_array_equal(cache.mask_HW(index), decoded.mask_HW)


def test_progress_is_told_case_by_case(make_dataset, tmp_path):
    told = []
    prepare_cache(read_dataset(make_dataset()), tmp_path / "cache", lambda *counts: told.append(counts))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_second_preparation_builds_nothing(make_dataset, tmp_path):
    folder = make_dataset()
    place, decoded = _prepare(folder, tmp_path / "cache")
    assert decoded == 4
    before = {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in place.iterdir()}
    again, decoded = _prepare(folder, tmp_path / "cache")
    assert (again, decoded) == (place, 0)
    assert {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in place.iterdir()} == before


def _cut_short(file):
    file.write_bytes(file.read_bytes()[:-1])


def _contradict(file):
    index = json.loads(file.read_text())
    index["classes"]["scored"] = ["unicorn"]
    file.write_text(json.dumps(index))


def _miscount(file):
    index = json.loads(file.read_text())
    index["cases"][0]["class_pixels"][0] += 1
    file.write_text(json.dumps(index))


def _forget_void(file):
    index = json.loads(file.read_text())
    pixels = index["cases"][0]["class_pixels"]
    index["cases"][0]["class_pixels"] = [pixels[0] + pixels.pop(), *pixels[1:]]
    file.write_text(json.dumps(index))


def _nest(file):
    file.write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("images.u8", _cut_short),
        ("images.u8", Path.unlink),
        ("masks.u8", _cut_short),
        ("masks.u8", Path.unlink),
        ("index.json", _cut_short),
        ("index.json", _contradict),
        ("index.json", _miscount),
        ("index.json", _forget_void),
        ("index.json", _nest),
        ("index.json", Path.unlink),
    ],
)
def test_damaged_cache_is_noticed_and_built_again(make_dataset, tmp_path, name, damage):
    folder = make_dataset()
    place, _ = _prepare(folder, tmp_path / "cache")
    damage(place / name)
    again, decoded = _prepare(folder, tmp_path / "cache")
    assert (again, decoded) == (place, 4)
    _assert_equals_files(PixelCache(place), folder)


_PREPARE_SLOWLY = """
import sys, time
from pathlib import Path
from segcore.data.caching.build import prepare_cache
from segcore.data.dataset import read_dataset
from segcore.data.sources.contest import ANNOTATIONS_FOLDER, IMAGES_FOLDER

def slowly(done, total):
    print("decoded", flush=True)
    time.sleep(0.2)

dataset = read_dataset(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
prepare_cache(dataset, Path(sys.argv[2]), slowly)
"""


def test_two_processes_that_prepare_at_once_build_once(make_dataset, tmp_path):
    folder = make_dataset()
    environment = {**os.environ, "PYTHONPATH": str(Path(segcore.__file__).parents[1])}
    # The build sleeps 4 x 0.2 s, so that the other process surely comes while it runs.
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PREPARE_SLOWLY, str(folder), str(tmp_path / "cache")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=600) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sorted(output.count("decoded") for output, _ in outputs) == [0, 4]
    place, decoded = _prepare(folder, tmp_path / "cache")
    assert decoded == 0
    _assert_equals_files(PixelCache(place), folder)


def test_leftovers_of_a_killed_build_are_removed(make_dataset, tmp_path):
    folder = make_dataset()
    place, _ = _prepare(folder, tmp_path / "cache")
    leftover = place.with_name(f"{place.name}.99999.part")
    place.rename(leftover)
    (leftover / "index.json").unlink()
    assert _prepare(folder, tmp_path / "cache") == (place, 4)
    assert not leftover.exists()


def test_too_small_a_disk_is_said_before_anything_is_written(make_dataset, tmp_path, monkeypatch):
    dataset = read_dataset(make_dataset())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=0, used=0, free=1 << 20))
    decoded = []
    with pytest.raises(StorageError, match=r"0\.0 GiB free.*--cache"):
        prepare_cache(dataset, tmp_path / "cache", lambda *counts: decoded.append(counts))
    assert decoded == []
    assert [file for file in (tmp_path / "cache").iterdir() if file.is_dir()] == []


def test_cache_that_cannot_be_written_is_said_with_the_folder(make_dataset, tmp_path):
    dataset = read_dataset(make_dataset())
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match=r"cannot be written to .*file/cache .*--cache"):
        prepare_cache(dataset, tmp_path / "file" / "cache")


def _repaint_image(folder):
    file = folder / IMAGES_FOLDER / "train_0001.jpg"
    Image.open(file).point(lambda level: 255 - level).save(file)


def _repaint_mask(folder):
    file = folder / ANNOTATIONS_FOLDER / "train_0001.png"
    Image.new("RGB", (48, 32), (0, 0, 255)).save(file)


def _move_frame(folder):
    document = {"attributes": {"route": "Tokyo1", "timeofday": "day"}, "frameIndex": 999}
    (folder / ANNOTATIONS_FOLDER / "train_0001.json").write_text(json.dumps(document))


def _score_another_class(folder):
    document = json.loads((folder / "classes.json").read_text())
    document["scored"] = ["road"]
    (folder / "classes.json").write_text(json.dumps(document))


@pytest.mark.parametrize("change", [_repaint_image, _repaint_mask, _move_frame, _score_another_class])
def test_changed_data_gets_another_cache(make_dataset, tmp_path, change):
    folder = make_dataset()
    place, _ = _prepare(folder, tmp_path / "cache")
    change(folder)
    other, decoded = _prepare(folder, tmp_path / "cache")
    assert other != place
    assert decoded == 4
    _assert_equals_files(PixelCache(other), folder)


def test_equal_data_in_another_folder_shares_the_cache(make_dataset, tmp_path):
    place, _ = _prepare(make_dataset(name="one"), tmp_path / "cache")
    assert _prepare(make_dataset(name="two"), tmp_path / "cache") == (place, 0)


def _break_header(folder, number):
    (folder / IMAGES_FOLDER / f"train_{number:04}.jpg").write_bytes(b"no image")


def _cut_image(folder, number):
    file = folder / IMAGES_FOLDER / f"train_{number:04}.jpg"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 2 // 3])


def _colour_mask(folder, number):
    Image.new("RGB", (48, 32), (9, 9, 9)).save(folder / ANNOTATIONS_FOLDER / f"train_{number:04}.png")


@pytest.mark.parametrize("break_first", [_break_header, _cut_image])
def test_every_broken_file_is_in_one_error_and_nothing_stays_behind(make_dataset, tmp_path, break_first):
    folder = make_dataset()
    break_first(folder, 0)
    _cut_image(folder, 1)
    _colour_mask(folder, 3)
    with pytest.raises(DataError, match="3 problems") as caught:
        prepare_cache(read_dataset(folder), tmp_path / "cache")
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "train_0000.jpg", "train_0001.jpg", "train_0003.png",
    ]  # fmt: skip
    assert [file for file in (tmp_path / "cache").iterdir() if file.is_dir()] == []


def test_data_that_changes_while_it_is_decoded_gets_no_cache(make_dataset, tmp_path):
    folder = make_dataset()

    def change_one(done, total):
        if done == total:
            _repaint_mask(folder)
            # The system's word alone is no change.
            (folder / IMAGES_FOLDER / "train_0002.jpg").chmod(0o600)

    with pytest.raises(DataError, match="was changed while it was decoded") as caught:
        prepare_cache(read_dataset(folder), tmp_path / "cache", change_one)
    assert caught.value.problems == ("train_0001.png: was changed meanwhile",)
    assert [file for file in (tmp_path / "cache").iterdir() if file.is_dir()] == []


def test_what_the_decoding_takes_is_announced_once_after_the_first_images(make_dataset, tmp_path):
    dataset = read_dataset(make_dataset(*MIXED_SIZES))
    told = []
    prepare_cache(dataset, tmp_path / "cache", lambda done, total: told.append(done), told.append)
    (plan,) = (each for each in told if isinstance(each, BuildPlan))
    # 32 x 48 + 40 x 32 + 33 x 35 + 64 x 96 pixels are 10115, of 4 bytes each.
    assert (plan.root, plan.images, plan.bytes) == (tmp_path / "cache", 4, 40460)
    assert plan.seconds > 0
    prepare_cache(dataset, tmp_path / "cache", None, lambda plan: pytest.fail("nothing is decoded"))


@pytest.mark.parametrize(
    ("images", "size", "seconds", "line"),
    [
        (2243, 22_700_000_000, 170.0, "decoding 2,243 images: 21.1 GiB in /caches, about 3 min"),
        (12, 12 * 64 * 96 * 4, 0.1, "decoding 12 images: 0.3 MiB in /caches, about 1 s"),
        (500, 2**30, 119.0, "decoding 500 images: 1.0 GiB in /caches, about 119 s"),
    ],
)
def test_plan_reads_as_one_line(images, size, seconds, line):
    plan = BuildPlan(root=Path("/caches"), images=images, bytes=size, seconds=seconds)
    assert plan.describe() == line


def test_cases_are_in_order_whatever_was_decoded_first(make_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    # Of 40 cases every tenth is decoded first.
    folder = make_dataset(*[(8 + number, 24) for number in range(40)])
    _assert_equals_files(PixelCache(prepare_cache(read_dataset(folder), tmp_path / "cache")), folder)


def test_pixels_that_are_not_read_back_as_written_are_no_cache(make_dataset, tmp_path, monkeypatch):
    write = os.pwrite

    def lose_an_image(descriptor, content, offset):
        # There begin the second of four images of 32 x 48 and the fourth mask.
        return write(descriptor, bytes(len(content)) if offset == 32 * 48 * 3 else content, offset)

    monkeypatch.setattr(os, "pwrite", lose_an_image)
    with pytest.raises(StorageError, match=r"2 images are damaged \(train_0001, train_0003\)"):
        prepare_cache(read_dataset(make_dataset()), tmp_path / "cache")
    assert [file for file in (tmp_path / "cache").iterdir() if file.is_dir()] == []


def test_room_is_taken_before_the_first_image_is_decoded(make_dataset, tmp_path, small_disk, monkeypatch):
    # The system calls more free than there is, as where a quota holds; the cache of 6 MB pixels takes 24 MB.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=0, used=0, free=1 << 40))
    dataset = read_dataset(make_dataset(*[(1000, 1500)] * 4))
    decoded = []
    with pytest.raises(StorageError, match=r"cannot be written to .*No space left.*--cache"):
        prepare_cache(dataset, small_disk, lambda *counts: decoded.append(counts))
    assert decoded == []
    assert [file for file in small_disk.iterdir() if file.is_dir()] == []
    assert find_blocks(small_disk) < 1 << 20


def test_a_disk_that_fills_while_it_is_written_is_told(make_dataset, tmp_path, small_disk, monkeypatch):
    """As on file systems that cannot take room in advance."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=0, used=0, free=1 << 40))
    monkeypatch.setattr(os, "posix_fallocate", _refuse_to_reserve)
    dataset = read_dataset(make_dataset(*[(1000, 1500)] * 4))
    with pytest.raises(StorageError, match=r"cannot be written to .*No space left.*--cache"):
        prepare_cache(dataset, small_disk)
    assert [file for file in small_disk.iterdir() if file.is_dir()] == []


def _refuse_to_reserve(descriptor, offset, size):
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def find_blocks(folder):
    """Bytes that a disk's files take."""
    state = os.statvfs(folder)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 8 MB."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("a small disk can be mounted by root alone")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
