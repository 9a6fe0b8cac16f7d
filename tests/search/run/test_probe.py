import dataclasses
from functools import partial

import pytest
from ray._common.utils import get_system_memory

import search.run.probe
from search.run.probe import (
    Gpu,
    Meeting,
    Probe,
    describe_blindness,
    find_faults,
    find_versions,
    measure_skew_seconds,
    meet_in,
    probe_machine,
)
from search.storage import locate_storage
from segcore.errors import StorageError


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """This machine, which may have no GPU."""
    return dataclasses.replace(probe_machine(tmp_path_factory.mktemp("probe") / "not" / "yet"), gpus=())


def test_a_machine_tells_what_it_is_and_has(probe):
    assert probe.versions.keys() == {"Python", "Ray", "torch", "timm", "segmentation-models-pytorch"}
    assert min(probe.memory_gib, probe.free_disk_gib, probe.shared_memory_gib) > 0
    assert find_faults(probe, find_versions(), 0, pretended=False) == []


def test_of_a_container_the_memory_that_it_may_take_is_told(monkeypatch, tmp_path):
    """The machine around it has more, which the kernel ends it for."""
    (tmp_path / "memory.max").write_text(f"{2**29}\n")
    bounded = partial(get_system_memory, memory_limit_filename="", memory_limit_filename_v2=tmp_path / "memory.max")
    monkeypatch.setattr(search.run.probe, "get_system_memory", bounded)
    assert probe_machine(tmp_path).memory_gib == 0.5


def test_other_versions_than_the_drivers_are_named(probe):
    told = find_faults(probe, {**probe.versions, "Ray": "2.59.0"}, 0, pretended=False)
    assert told == [f"Ray {probe.versions['Ray']} there and 2.59.0 here: install the same"]


@pytest.mark.parametrize(
    ("gpus", "ray_gpus", "told"),
    [
        (0, 1, "Ray counts 1 GPU and torch sees 0: mend its driver"),
        (1, 4, "Ray counts 4 GPUs and torch sees 1: mend its driver"),
        (0, 0.5, "Ray counts 1 GPU and torch sees 0: mend its driver"),
        (2, 2, ""),
        (1, 0, ""),
    ],
)
def test_gpus_that_torch_does_not_see_are_named_unless_they_are_pretended(probe, gpus, ray_gpus, told):
    seeing = dataclasses.replace(probe, gpus=(Gpu(name="T4", memory_gib=15),) * gpus)
    assert "".join(describe_blindness(gpus, ray_gpus)).startswith(told)
    assert bool(find_faults(seeing, probe.versions, ray_gpus, pretended=False)) is bool(told)
    assert find_faults(seeing, probe.versions, ray_gpus, pretended=True) == []


def test_nodes_show_that_they_share_the_storage(tmp_path):
    meeting = Meeting(folder=tmp_path / "searches", token="1d")
    meeting.call()
    assert not meeting.has_answered("node")
    assert meeting.answer("node") == ""
    assert meeting.has_answered("node")
    meeting.end()
    assert [*(tmp_path / "searches").iterdir()] == []


def test_nodes_show_that_they_share_the_bucket(make_bucket, tmp_path, monkeypatch):
    """The folder is the driver's alone then: a node has none like it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "driver"))
    meeting = meet_in(locate_storage(f"{make_bucket()}/searches"))
    meeting.call()
    theirs = dataclasses.replace(meeting, folder=tmp_path / "none")
    assert not meeting.has_answered("node")
    assert theirs.answer("node") == ""
    assert meeting.has_answered("node")
    assert "another folder" in dataclasses.replace(theirs, token="2d").answer("node")
    meeting.end()
    assert meeting.bucket.list_files() == []


def test_a_node_with_another_folder_is_told_so(tmp_path):
    (tmp_path / "there").mkdir()
    theirs = Meeting(folder=tmp_path / "there", token="1d")
    assert theirs.answer("node") == f"{tmp_path / 'there'} is another folder there"
    earlier = Meeting(folder=tmp_path / "there", token="2d")
    earlier.call()
    (tmp_path / "there" / ".probe-2d").rename(tmp_path / "there" / ".probe-1d")
    assert "another folder" in theirs.answer("node")


def test_a_storage_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"--storage .*/file/searches cannot be written"):
        Meeting(folder=tmp_path / "file" / "searches", token="1d").call()


@pytest.mark.parametrize(("clock", "skew"), [(105.0, 0.0), (100.0, 0.0), (70.0, -30.0), (117.0, 7.0)])
def test_a_clock_is_wrong_only_by_what_the_answer_cannot_explain(clock, skew):
    assert measure_skew_seconds(100.0, clock, 110.0) == skew
