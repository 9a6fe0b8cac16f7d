import time
from pathlib import Path

import pytest

from search import requests
from search.requests import FOLDER, Inbox, Request, fetch_requests, name_asker, send_request
from segcore.bucket import parse_bucket


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A search's folder, which is looked into as often as it is asked."""
    monkeypatch.setattr(requests, "_LOOK_SECONDS", 0.0)
    folder = tmp_path / "searches" / "streets"
    folder.mkdir(parents=True)
    return folder


def test_what_is_asked_of_trials_is_heard_once_and_in_order(root):
    inbox = Inbox(root)
    for trial in (3, 1):
        send_request(root, Request(kind="prune", trial=trial, reason="enough"))
    assert [(each.kind, each.trial) for each in inbox.take()] == [("prune", 3), ("prune", 1)]
    assert inbox.take() == []
    assert list((root / FOLDER).iterdir()) == []
    assert not inbox.is_stopped


def test_a_stop_is_heard_and_stays(root):
    inbox = Inbox(root)
    send_request(root, Request(kind="stop", reason="lunch"))
    assert (inbox.is_stopped, inbox.is_stopped_now) == (True, False)
    send_request(root, Request(kind="stop", reason="fire", now=True))
    assert (inbox.is_stopped, inbox.is_stopped_now, inbox.stop.reason) == (True, True, "fire")


def test_a_stop_of_an_earlier_run_stops_none_that_began_since(root):
    send_request(root, Request(kind="stop", reason="yesterday", time=time.time() - 86400))
    assert not Inbox(root).is_stopped
    assert list((root / FOLDER).iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff", b"{}", b"[" * 2000, b'{"kind": "delete", "trial": 0, "reason": "x"}',
        b'{"kind": "prune", "reason": "x"}', b'{"kind": "stop", "trial": 1, "reason": "x"}',
        b'{"kind": "stop", "reason": "x", "command": "rm"}',
        b'{"kind": "keep", "trial": 0, "reason": "' + b"x" * 5000 + b'"}',
    ],
)  # fmt: skip
def test_what_is_no_request_is_taken_away_unheard(root, content):
    (root / FOLDER).mkdir()
    (root / FOLDER / "0.json").write_bytes(content)
    inbox = Inbox(root)
    assert (inbox.take(), inbox.is_stopped) == ([], False)
    assert list((root / FOLDER).iterdir()) == []


def test_who_asks_is_named_in_a_line():
    assert name_asker(" it has\nplateaued ").endswith(": it has plateaued")
    assert name_asker().startswith("asked for by ")
    assert len(name_asker("x" * 1000)) == 300


def test_a_stop_is_heard_from_whoevers_clock_is_behind(root):
    """Set back while the search ran, or another machine's."""
    inbox = Inbox(root)
    send_request(root, Request(kind="stop", reason="lunch", time=time.time() - 86400))
    assert inbox.is_stopped


def test_what_is_fetched_from_a_bucket_is_whole_for_whoever_looks_meanwhile(root, make_bucket, monkeypatch):
    """The driver's thread takes away what is no request, so half of one would be lost."""
    stored, inbox = parse_bucket("storage", make_bucket()), Inbox(root)
    stored.write(f"{FOLDER}/0.json", b'{"kind": "prune", "trial": 3, "reason": "enough"}')

    def write_slowly(file: Path, content: bytes) -> None:
        with file.open("wb") as stream:
            assert inbox.take() == []
            stream.write(content)

    monkeypatch.setattr(Path, "write_bytes", write_slowly)
    fetch_requests(stored, root)
    assert [each.trial for each in inbox.take()] == [3]
    assert stored.list_files(FOLDER) == []
