import resource
from contextlib import closing
from pathlib import Path

import pytest
from ray import tune

from search.run.system import SystemWatch
from search.run.trial import STATE_FILE, _report, _start, _train_on
from search.run.trial_job import TrialJob
from segcore.data.dividing.split import FoldSplit
from segcore.data.labels import build_label_map
from segcore.errors import CheckpointError, ClusterError
from segcore.machine import Machine
from segcore.training.checkpoint import save_state
from segcore.training.state import new_state


@pytest.fixture
def go_on(cache, make_config, tmp_path):
    """Return a function that starts a trial from its checkpoints of epochs 2 and 1, after these were spoiled."""
    config, outputs = make_config(), build_label_map(cache.classes, make_config().labels).outputs
    for epoch in (1, 2):
        state = new_state(config, outputs, Machine(), metric="iou")
        state.epoch, state.scores = epoch, [0.5] * epoch
        (tmp_path / str(epoch)).mkdir()
        save_state(state, tmp_path / str(epoch) / STATE_FILE)

    def start(spoil):
        for epoch, content in spoil.items():
            (tmp_path / str(epoch) / STATE_FILE).write_bytes(content)
        told = {"values": config.values(), "checkpoints": [str(tmp_path / "2"), str(tmp_path / "1")]}
        state, torn = _start(told, cache, Machine(), "iou")
        return state.epoch, [Path(each.split()[2]).parent.name for each in torn]

    return start


@pytest.mark.parametrize("content", [b"", b"PK", bytes(1000)], ids=["empty", "begun", "zeros"])
def test_a_torn_checkpoint_falls_back_to_the_one_before_and_then_to_a_new_beginning(go_on, content):
    assert go_on({}) == (2, [])
    assert go_on({2: content}) == (1, ["2"])
    assert go_on({1: content}) == (0, ["2", "1"])


def test_a_checkpoint_that_lacks_its_end_is_torn(go_on, tmp_path):
    file = tmp_path / "2" / STATE_FILE
    assert go_on({2: file.read_bytes()[:-1]}) == (1, ["2"])


def test_a_checkpoint_that_this_node_cannot_reach_is_not_taken_for_torn(go_on, tmp_path):
    (tmp_path / "2" / STATE_FILE).unlink()
    with pytest.raises(CheckpointError, match="No such file"):
        go_on({})


def test_a_training_waits_for_a_bucket_that_does_not_answer_and_fails_where_one_refuses(tmp_path, monkeypatch):
    answers = [OSError("AWS Error NETWORK_CONNECTION during PutObject"), None, OSError("AWS Error ACCESS_DENIED")]
    reported = []

    def report(result, *, checkpoint):
        reported.append((result, Path(checkpoint.path)))
        if error := answers.pop(0):
            raise error

    monkeypatch.setattr(tune, "report", report)
    monkeypatch.setattr("segcore.bucket._PAUSE_SECONDS", 0.0)
    _report({"epoch": 1}, str(tmp_path))
    assert reported == [({"epoch": 1}, tmp_path)] * 2
    with pytest.raises(OSError, match="ACCESS_DENIED"):
        _report({"epoch": 2}, str(tmp_path))


def test_a_node_that_cannot_hold_a_checkpoint_is_at_fault_and_not_the_trial(cache, make_config, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fold_of = {name: number % 2 for number, name in enumerate(cache.names)}
    split = FoldSplit(folds=2, fold_of=fold_of, block_of={name: name for name in cache.names})
    root = tmp_path / "cache"
    job = TrialJob(data="", extra=(), cache_root=root, cache_key="", split=split, cpus=1, gpus=0, metric="iou")
    config = {"values": make_config(epochs=1).values(), "fold": 0, "checkpoints": []}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with closing(SystemWatch(Machine())) as system, pytest.raises(ClusterError, match=f"make room in {tmp_path}, "):
            _train_on(config, job, cache, Machine(), system)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
