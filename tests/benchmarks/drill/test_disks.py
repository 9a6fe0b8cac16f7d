from types import SimpleNamespace

import pytest

from benchmarks.drill import disks
from benchmarks.drill.disks import own_disk
from benchmarks.drill.nodes import UnfitError
from search.folder import SearchFolder


@pytest.fixture
def scene(tmp_path):
    return SimpleNamespace(root=tmp_path, search=SearchFolder(root=tmp_path / "searches" / "drill"))


def test_without_a_disk_of_its_own_nothing_is_mounted(scene, tmp_path):
    with own_disk(scene, ""):
        assert list(tmp_path.iterdir()) == []


def test_who_cannot_mount_is_told_what_is_missing(scene, monkeypatch):
    monkeypatch.setattr(disks.shutil, "which", lambda name: None)
    with (
        pytest.raises(UnfitError, match=r"by root alone, with mount, mkfs\.ext4, fsfreeze"),
        own_disk(scene, "freezing"),
    ):
        pass
