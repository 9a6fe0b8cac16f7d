import stat
from pathlib import Path

import pytest

from search.folder import command_line
from search.place import build_place
from search.storage import find_bucket, locate_storage, name_storage
from segcore.errors import ConfigError


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_a_folder_is_the_storage_itself(tmp_path):
    assert locate_storage("searches") == Path("searches")
    assert find_bucket(tmp_path) is None
    assert name_storage(tmp_path) == str(tmp_path)


def test_a_bucket_has_one_private_mirror_that_names_it(make_bucket, tmp_path):
    address = f"{make_bucket()}/x"
    mirror = locate_storage(address)
    assert mirror.parent == tmp_path / "state" / "street-search"
    assert (mirror, locate_storage(f"{address}/")) == (locate_storage(address), mirror)
    assert mirror != locate_storage(f"{address}/y")
    assert stat.S_IMODE(mirror.stat().st_mode) == 0o700
    assert name_storage(mirror) == address
    assert command_line("status", "a", storage=mirror) == f"python -m search status a --storage {address}"


def test_a_mirror_names_its_bucket_all_the_time_that_others_come_by(make_bucket):
    """A driver asks for its bucket again and again: were the file written anew, it would be empty for a moment."""
    address = make_bucket()
    mark = locate_storage(address) / ".bucket"
    before = mark.stat()
    locate_storage(address)
    assert (mark.stat().st_ino, mark.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    mark.write_text("")
    assert name_storage(locate_storage(address)) == address


def test_a_crafted_mark_makes_no_mirror_of_a_folder(make_bucket, tmp_path, monkeypatch):
    mirror = locate_storage(make_bucket())
    (tmp_path / ".bucket").write_text((mirror / ".bucket").read_text())
    assert find_bucket(tmp_path) is None
    assert find_bucket(mirror) is not None
    monkeypatch.setattr("os.getuid", lambda: -1)
    assert find_bucket(mirror) is None


@pytest.mark.parametrize("option", ["data", "storage", "cache", "extra"])
def test_an_unknown_address_is_never_taken_for_a_folder(option, tmp_path):
    given = {"data": tmp_path, option: ("foo://x",) if option == "extra" else "foo://x"}
    with pytest.raises(ConfigError, match=f"--{option}"):
        build_place(given)
