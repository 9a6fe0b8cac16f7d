import base64
import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from search.tracking.check import _explain_answer, check_tracking, is_away, require_tracking, require_writable
from segcore.errors import StorageError, TrackingError

BASIC = f"Basic {base64.b64encode(b'user:secret').decode()}"


@pytest.fixture
def serve_mlflow() -> Iterator[Callable[..., str]]:
    """A function that starts a server which lists experiments as MLflow does, and returns its address."""
    servers: list[ThreadingHTTPServer] = []

    def serve(*, prefix: str = "", authorization: str = "", status: int = 200, body: str = "") -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                found = self.path == f"{prefix}/api/2.0/mlflow/experiments/search"
                allowed = not authorization or self.headers.get("Authorization") == authorization
                answered = status if found and allowed else 401 if found else 404
                self.send_response(answered)
                self.end_headers()
                self.wfile.write((body or json.dumps({"experiments": []})).encode() if answered == 200 else b"no")

            def log_message(self, *_: object) -> None: ...

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}{prefix}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_server_behind_a_user_and_password_is_asked_with_them(serve_mlflow, monkeypatch):
    uri = serve_mlflow(authorization=BASIC)
    with pytest.raises(TrackingError, match=r"401.* set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or"):
        check_tracking(uri)
    assert check_tracking(uri.replace("//", "//user:secret@")) is None
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "user")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert check_tracking(uri) is None
    assert check_tracking(uri.replace("//", "//***@")) is None, "as settings keep it"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("Workspace 'team' not found", 404),
        ("Active workspace 'team' cannot be used because the remote server does not support workspaces.", 500),
        ('Failed to query /api/3.0/mlflow/server-info: 500 "Workspace APIs are not available"', 503),
    ],
)
def test_workspace_that_a_server_lacks_is_no_absence_that_ends(said, code):
    error = MlflowException(said)
    error.get_http_status_code = lambda: code
    assert not is_away(error, "http://h")
    assert "set MLFLOW_WORKSPACE to one" in _explain_answer(error, said)


def test_server_behind_a_token_is_asked_with_it(serve_mlflow, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    assert check_tracking(serve_mlflow(authorization="Bearer t0ken")) is None


def test_server_under_a_path_is_found_there_alone(serve_mlflow):
    uri = serve_mlflow(prefix="/team/mlflow")
    assert check_tracking(uri) is None
    assert check_tracking(f"{uri}/") is None
    with pytest.raises(TrackingError, match=r"answers, but is no MLflow server .*404.* check host, port and path"):
        check_tracking(uri.removesuffix("/team/mlflow"))


def test_page_of_another_server_is_no_mlflow(serve_mlflow):
    with pytest.raises(TrackingError, match="answers, but is no MLflow server"):
        check_tracking(serve_mlflow(body="<html>welcome</html>"))


def test_server_that_takes_no_such_request_is_no_mlflow_and_none_that_is_away(serve_mlflow):
    with pytest.raises(TrackingError, match=r"is no MLflow server \(.* error code 405 != 200.*\); check host, port"):
        check_tracking(serve_mlflow(status=405))


def test_server_that_refuses_the_name_it_is_called_by_is_told_how_to_allow_it(serve_mlflow):
    with pytest.raises(TrackingError, match=r"403.*--allowed-hosts"):
        check_tracking(serve_mlflow(status=403))


def test_proxy_that_does_not_lead_to_the_server_is_told_of(serve_mlflow, find_free_port, monkeypatch):
    """An office has one for the internet, which knows no server of the office itself."""
    proxy = f"127.0.0.1:{find_free_port()}"
    monkeypatch.setenv("http_proxy", f"http://user:secret@{proxy}")
    told = f"; the proxy http://***@{proxy} of the environment was asked for it: where that does not lead there, have "
    assert check_tracking("http://10.0.0.9:5000").endswith(f"{told}10.0.0.9 in NO_PROXY.")
    monkeypatch.setenv("http_proxy", serve_mlflow())
    with pytest.raises(TrackingError, match=r"is no MLflow server .* have 10\.0\.0\.9 in NO_PROXY\.$"):
        check_tracking("http://10.0.0.9:5000")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert "proxy" not in check_tracking(serve_mlflow(status=503))
    monkeypatch.setenv("ALL_PROXY", f"http://{proxy}")
    with pytest.raises(TrackingError, match=r"^((?!proxy).)+$"):
        check_tracking("postgresql+unknown://10.0.0.9/mlflow")


@pytest.mark.parametrize("status", [503, 502, 500, 429])
def test_server_in_trouble_may_come_back(serve_mlflow, status):
    uri = serve_mlflow(status=status)
    assert "does not answer" in check_tracking(uri)
    with pytest.raises(TrackingError, match="Start the server with 'mlflow server', or give --tracking-uri ''"):
        require_tracking(uri)


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:{port}", "http://no-such-host.invalid:5000", "https://127.0.0.1:{port}"]
)
def test_server_that_does_not_answer_is_refused_at_the_start_and_may_come_back_later(find_free_port, uri):
    uri = uri.format(port=find_free_port())
    assert check_tracking(uri).startswith(f"--tracking-uri {uri} does not answer (")
    with pytest.raises(TrackingError, match=r"does not answer .* Start the server with 'mlflow server'"):
        require_tracking(uri)


def test_file_of_certificates_that_is_missing_is_no_server_that_is_away(find_free_port, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(tmp_path / "none.pem"))
    with pytest.raises(TrackingError, match=r"none.pem\); name a file that is there in MLFLOW_"):
        check_tracking(f"https://127.0.0.1:{find_free_port()}")


def test_server_without_a_certificate_is_no_server_that_is_away(serve_mlflow):
    with pytest.raises(TrackingError, match=r"no valid certificate .* use http://"):
        check_tracking(serve_mlflow().replace("http://", "https://"))


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("server:5000", "is no address that MLflow knows; use http://HOST:PORT, or sqlite:///FILE"),
        ("foo://host", "is no address that MLflow knows; use http://HOST:PORT, or sqlite:///FILE"),
        ("mlruns", "use http://HOST:PORT, or sqlite:///FILE"),
        ("/data/mlflow.db", "use http://HOST:PORT, or sqlite:///FILE"),
        ("file:///tmp/mlruns", r"filesystem tracking backend .* use http://HOST:PORT, or sqlite:///FILE"),
        ("databricks", "Databricks"),
        ("databricks://profile", "Databricks"),
        ("uc", "use http://HOST:PORT, or sqlite:///FILE"),
        ("http://host:port", "use http://HOST:PORT"),
        ("http://[bad", "use http://HOST:PORT"),
        ("sqlite:/mine.db", "is no address; use sqlite:///FILE with the file's path"),
        ("sqlite://", "would keep nothing; use sqlite:///FILE"),
        ("sqlite:///:memory:", "would keep nothing; use sqlite:///FILE"),
        ("sqlite:///file:x?mode=memory&uri=true", "would keep nothing; use sqlite:///FILE with the file's path"),
    ],
)
def test_what_can_never_work_is_refused(uri, told, monkeypatch, tmp_path):
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrackingError, match=told):
        check_tracking(uri)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["postgresql+pg8000://u:PW@host/db", "mysql+cymysql://u:PW@host/db"])
def test_database_without_its_driver_is_refused_and_its_password_not_shown(uri):
    with pytest.raises(TrackingError, match=r"needs a driver that is not installed .* install it with pip") as caught:
        check_tracking(uri)
    assert "PW" not in str(caught.value)


def test_password_is_not_shown_when_the_server_is_away(find_free_port):
    problem = check_tracking(f"http://user:PW@127.0.0.1:{find_free_port()}")
    assert "***@127.0.0.1" in problem
    assert "PW" not in problem


def test_address_from_the_environment_is_named_so(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "server:5000")
    with pytest.raises(TrackingError, match=r"^MLFLOW_TRACKING_URI server:5000 is no address"):
        check_tracking("server:5000")


def test_what_is_no_file_is_never_replaced_by_a_database(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for place in (pipe, tmp_path):
        with pytest.raises(StorageError, match=r"cannot be made \(it is there and is no file\); choose another file"):
            check_tracking(f"sqlite:///{place}")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_database_in_a_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="--tracking-uri"):
        require_tracking(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}")


def test_database_gets_its_folder(tmp_path):
    require_tracking(f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}")
    assert (tmp_path / "new" / "mlflow.db").is_file()


def test_database_that_this_user_may_not_write_is_refused(tmp_path, monkeypatch):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    require_tracking(uri)
    require_writable(uri)
    require_writable("http://127.0.0.1:5000")
    # As for whoever is not the administrator, who may write everything.
    monkeypatch.setattr(os, "access", lambda file, mode: False)
    with pytest.raises(TrackingError, match=r"mlflow\.db belongs to another user, and you may not write it"):
        require_writable(uri)
    # SQLite says then that the database is read-only.
    monkeypatch.setattr(os, "access", lambda file, mode: file.suffix == ".db")
    with pytest.raises(TrackingError, match=rf"{tmp_path} belongs to another user, and you may not write it"):
        require_writable(uri)


def spoil_text(file: Path) -> None:
    file.write_text("this is no database, but as long as one that might be " * 50)


def spoil_tables(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE experiments (experiment_id INTEGER)")
        database.execute("CREATE TABLE _alembic_tmp_experiments (experiment_id INTEGER)")


@pytest.mark.parametrize("spoil", [spoil_text, spoil_tables])
def test_database_that_is_none_is_named_with_what_to_do(spoil, tmp_path):
    spoil(tmp_path / "mlflow.db")
    with pytest.raises(TrackingError, match=r"no whole MLflow database .* move .*mlflow\.db away, and .* sync NAME"):
        check_tracking(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_database_of_another_mlflow_is_told_how_to_bring_it_up_to_date(empty_database, tmp_path):
    file = shutil.copy(empty_database, tmp_path / "mlflow.db")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    with pytest.raises(TrackingError, match=r"another version of MLflow \(found version 451aebb31d03, but") as caught:
        check_tracking(f"sqlite:///{file}")
    assert f"run 'python -m mlflow db upgrade sqlite:///{file}'; of a later one, install" in str(caught.value)
    assert "HOST:PORT" not in str(caught.value)
