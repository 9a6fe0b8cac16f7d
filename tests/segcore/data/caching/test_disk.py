import os
from pathlib import Path

import pytest

from segcore.data.caching.disk import discard, find_type, read_path, reserved_file, resolve_folder, write_at
from segcore.errors import ConfigError

MOUNTS = r"""
22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /home rw,relatime - nfs4 server:/home rw,vers=4.2
24 23 0:22 / /home/local rw - xfs /dev/vdb rw
25 22 0:23 / /mnt/my\040share rw shared:2 master:3 - fuse.sshfs host: rw
26 22 0:24 / /data rw - ext4 /dev/vdc rw
27 22 0:25 / /data rw - lustre tcp:/data rw
damaged line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/tmp/cache", "ext4"),
        ("/home", "nfs4"),
        ("/home/ann/.cache/street-search", "nfs4"),
        ("/homeless", "ext4"),
        ("/home/local/cache", "xfs"),
        ("/mnt/my share/cache", "fuse.sshfs"),
        ("/data/cache", "lustre"),
    ],
)
def test_file_system_is_that_of_the_closest_mount(folder, kind):
    assert find_type(Path(folder), MOUNTS) == kind


def test_without_mounts_nothing_is_said():
    assert find_type(Path("/tmp"), "") == ""


def test_home_is_resolved_and_without_one_an_option_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_folder("cache", Path("~/cache")) == tmp_path / "cache"
    with pytest.raises(ConfigError, match="give another with --cache"):
        resolve_folder("cache", Path("~nobody-of-this-name/cache"))


def test_reserved_file_has_its_blocks_before_anything_is_written(tmp_path):
    with reserved_file(tmp_path / "file", 1 << 20) as descriptor:
        state = os.fstat(descriptor)
        assert state.st_size == 1 << 20
        assert state.st_blocks * 512 >= 1 << 20
        write_at(descriptor, memoryview(b"pixels"), 1000)
    content = (tmp_path / "file").read_bytes()
    assert content[1000:1006] == b"pixels"
    assert not any(content[:1000] + content[1006:])


def test_bytes_that_the_system_takes_in_parts_are_all_written(tmp_path, monkeypatch):
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, content, offset: write(descriptor, content[:3], offset))
    with reserved_file(tmp_path / "file", 10) as descriptor:
        write_at(descriptor, memoryview(b"0123456789"), 0)
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_part_that_cannot_be_deleted_hides_no_error(tmp_path):
    part = tmp_path / "part"
    part.write_text("half")
    discard(part)
    assert not part.exists()
    discard(part)
    part.mkdir()
    discard(part)
    assert part.is_dir(), "as on a disk that can only be read"


def test_an_empty_path_is_not_taken_for_the_working_directory():
    """As "$CACHE" is, where nobody set it."""
    with pytest.raises(ConfigError, match=r"A path is empty, .*; write \. for the folder you are in"):
        read_path("")
    assert read_path(".") == read_path(Path()) == Path()
