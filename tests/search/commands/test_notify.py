"""`--notify`: against a real server on loopback, whose address holds a secret."""

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from typer.testing import CliRunner

from search.__main__ import app
from search.commands.documents import NotifyDocument
from search.commands.notify import VARIABLE, notified, post
from segcore.errors import ConfigError, HopelessSearchError, InterruptedSearchError, StorageError

SECRET = "T0P/PLANTED-s3cret"


class Room(ThreadingHTTPServer):
    """A chat room that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.told: list[dict] = []
        self.answer = 200
        self.elsewhere = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks/{SECRET}?token={SECRET}"


class Door(BaseHTTPRequestHandler):
    server: Room

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append({"path": self.path, "type": self.headers["Content-Type"], "json": json.loads(content)})
        self.send_response(self.server.answer)
        if self.server.elsewhere:
            self.send_header("Location", self.server.elsewhere)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def room():
    server = Room()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def end(url: str, storage: Path, error: BaseException | None) -> None:
    with suppress(type(error) if error is not None else ()), notified(url, "launch", "streets", storage):
        if error is not None:
            raise error


@pytest.mark.parametrize(
    ("error", "event", "message"),
    [
        (None, "finished", ""),
        (InterruptedSearchError("go on with 'resume'"), "interrupted", "go on with 'resume'"),
        (HopelessSearchError("all failed"), "failed", "all failed"),
        (StorageError("the disk is full"), "failed", "the disk is full"),
        (KeyboardInterrupt(), "interrupted", "interrupted by Ctrl-C"),
        (RuntimeError("a bug"), "failed", "a fault of the program (RuntimeError: a bug)"),
    ],
)
def test_every_end_is_told_once(room, tmp_path, error, event, message):
    end(room.url, tmp_path, error)
    (told,) = room.told
    assert told["type"] == "application/json"
    assert told["path"].endswith(f"?token={SECRET}")
    document = TypeAdapter(NotifyDocument).validate_json(json.dumps(told["json"]))
    assert (document.event, document.message, document.command) == (event, message, "launch")
    assert document.text == f"Search streets: launch {event}. {message}".strip()


def test_an_error_that_repeats_the_address_is_masked_where_it_is_told(room, tmp_path):
    end(room.url, tmp_path, StorageError(f"{room.url} and http://mayor:PLANTED@host:5000 are away"))
    assert "PLANTED" not in json.dumps(room.told[0]["json"])


@pytest.mark.parametrize("answer", [404, 500])
def test_a_room_that_refuses_changes_nothing_and_its_address_stays_a_secret(room, tmp_path, capsys, answer):
    room.answer = answer
    end(room.url, tmp_path, None)
    out, err = capsys.readouterr()
    assert f"--notify *** was not told (it answered with {answer})" in " ".join(out.split())
    assert "PLANTED" not in out + err
    assert str(room.server_port) not in out + err


def test_nobody_is_followed_elsewhere(room, tmp_path):
    other = Room()
    threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True).start()
    room.answer, room.elsewhere = 307, other.url
    assert post(room.url, b"{}") == "it answered with 307"
    assert other.told == []
    other.shutdown()
    other.server_close()


def test_a_room_that_is_gone_is_told_in_words_without_its_address(find_free_port, tmp_path, capsys):
    end(f"http://127.0.0.1:{find_free_port()}/{SECRET}", tmp_path, None)
    told = " ".join(capsys.readouterr().out.split())
    assert "--notify *** was not told (Connection refused)" in told
    assert "PLANTED" not in told


@pytest.mark.parametrize(
    "url",
    ["PLANTED", "ftp://host/PLANTED", "file:///etc/PLANTED", "http://", "http://host:PLANTED/", "http://h/PLANTED x"],
)
def test_what_is_no_address_is_refused_before_anything_and_not_shown(tmp_path, url):
    with pytest.raises(ConfigError) as caught, notified(url, "launch", "streets", tmp_path):
        pytest.fail("the command began")
    assert "PLANTED" not in str(caught.value)
    assert "https://" in str(caught.value)


def test_commands_tell_their_failure_and_keep_the_address_in_no_file(room, tmp_path):
    """By the option and by the variable, which no list of processes shows."""
    for arguments, environment in (("--notify", room.url), {}), ((), {VARIABLE: room.url}):
        done = CliRunner().invoke(app, ["resume", "nothing", "--storage", str(tmp_path), *arguments], env=environment)
        assert done.exit_code != 0
        assert "PLANTED" not in done.output + str(done.exception)
    assert [told["json"]["event"] for told in room.told] == ["failed", "failed"]
    assert "No search 'nothing'" in room.told[0]["json"]["message"]
    assert not any(b"PLANTED" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert "PLANTED" not in CliRunner().invoke(app, ["launch", "--help"], env={VARIABLE: room.url}).output
