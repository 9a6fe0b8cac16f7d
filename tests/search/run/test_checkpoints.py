import logging
import resource
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from search.run.checkpoints import brought
from segcore.bucket import parse_bucket
from segcore.errors import CheckpointError, ClusterError
from segcore.training.checkpoint import read_member_weights
from segcore.training.saving import STATE_FILE


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_checkpoint_of_a_folder_stays_where_it_is(tmp_path):
    (tmp_path / STATE_FILE).write_bytes(b"state")
    with brought(str(tmp_path)) as folder:
        assert folder == tmp_path
    assert (tmp_path / STATE_FILE).read_bytes() == b"state"


def test_a_checkpoint_of_a_bucket_is_brought_and_nothing_stays(make_bucket, temporary):
    stored = parse_bucket("storage", f"{make_bucket()}/checkpoint")
    stored.write(STATE_FILE, b"state")
    stored.write("scores.json", b"[]")
    with brought(stored.address) as folder:
        assert folder.parent == temporary
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
            STATE_FILE: b"state",
            "scores.json": b"[]",
        }
    assert list(temporary.iterdir()) == []


def test_a_checkpoint_that_the_bucket_has_not_is_named(make_bucket, temporary):
    address = f"{make_bucket()}/gone"
    with pytest.raises(CheckpointError, match=rf"{address} has no state\.pt"), brought(address):
        pass
    assert list(temporary.iterdir()) == []


def test_a_damaged_checkpoint_is_named_by_where_it_is_in_the_bucket(make_bucket, temporary):
    stored = parse_bucket("storage", f"{make_bucket()}/checkpoint")
    stored.write(STATE_FILE, b"torn")
    told = rf"The checkpoint {stored.address}/state\.pt cannot be read"
    with pytest.raises(CheckpointError, match=told), brought(stored.address) as folder:
        read_member_weights(folder / STATE_FILE)


def test_a_bucket_that_does_not_answer_yet_is_waited_for(
    temporary, s3_server, make_bucket: Callable[..., str], monkeypatch
):
    from moto.server import ThreadedMotoServer

    # What a server of this process was given outlives it: the next one at the same port has it.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    first = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    first.start()
    _, port = first.get_host_and_port()
    address = f"{make_bucket()}/checkpoint?endpoint_override=127.0.0.1:{port}&scheme=http"
    parse_bucket("storage", address).write(STATE_FILE, b"state")
    first.stop()
    second = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            second.start()

    monkeypatch.setattr("segcore.bucket.time", SimpleNamespace(sleep=wait, monotonic=time.monotonic))
    with brought(address) as folder:
        assert (folder / STATE_FILE).read_bytes() == b"state"
    assert waits
    second.stop()


def test_a_full_disk_of_temporary_files_is_the_fault_of_its_node(make_bucket, temporary, monkeypatch):
    stored = parse_bucket("storage", f"{make_bucket()}/checkpoint")
    stored.write(STATE_FILE, bytes(1 << 20))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, before[1]))
    try:
        with pytest.raises(ClusterError, match=f"make room in {temporary}, .* File too large"), brought(stored.address):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    monkeypatch.setattr("tempfile.tempdir", str(temporary / "gone"))
    with pytest.raises(ClusterError, match=r"make room in .*gone, .* No such file"), brought(stored.address):
        pass
