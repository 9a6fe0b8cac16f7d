"""`python -m search ui` as processes of its own, over a real MLflow database with a run and its picture."""

import base64
import dataclasses
import os
import shutil
import signal
import socket
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image
from typer.testing import CliRunner

from search.__main__ import app
from search.commands import browse
from search.place import build_place, write_place
from search.settings import build_settings, write_settings
from search.tracking.documents import read_document
from search.tracking.store import open_client
from search.tracking_uri import own_tracking_uri
from tests.preloaded import Preloaded


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A search with a run and its picture, one whose runs are in another database, and one that is damaged."""
    folder = tmp_path_factory.mktemp("searches")
    place = build_place({"data": folder, "storage": folder})
    (folder / "streets").mkdir()
    write_settings(build_settings({"name": "streets"}), folder / "streets" / "settings.json")
    write_place(place, folder / "streets" / "place.json")
    (folder / "apart").mkdir()
    write_settings(build_settings({"name": "apart"}), folder / "apart" / "settings.json")
    apart = build_place({"data": folder, "storage": folder, "tracking_uri": "postgresql://u:PW@host/db"})
    write_place(apart, folder / "apart" / "place.json")
    (folder / "broken").mkdir()
    (folder / "broken" / "settings.json").write_text("{")
    shutil.copy(empty_database, folder / "mlflow.db")
    client = open_client(place.tracking_uri)
    experiment = client.create_experiment("streets", artifact_location=(folder / "mlartifacts" / "streets").as_uri())
    run = client.create_run(experiment)
    client.log_image(run.info.run_id, Image.new("RGB", (8, 8)), key="validation", step=1)
    return folder


LOGIN = {"MLFLOW_TRACKING_USERNAME": "mayor", "MLFLOW_TRACKING_PASSWORD": "PLANTED-password"}


@dataclasses.dataclass(frozen=True)
class Server:
    """A `ui` that answers.

    Args:
        process: the command.
        port: that it listens on.
    """

    process: Preloaded
    port: int


@pytest.fixture(scope="module")
def start_ui(start_preloaded, storage, find_free_port, wait_until) -> Iterator[Callable[..., Server]]:
    """A function that starts `ui` and waits until it answers; whatever is left of it is ended."""
    started = []

    def start(*options: str, **environment: str) -> Server:
        port = find_free_port()
        process = start_preloaded("ui", "--storage", storage, "--port", port, *options, **environment)
        started.append(process)
        wait_until(lambda: process.poll() is not None or answers(port), "the UI answers")
        assert process.poll() is None, process.communicate()
        return Server(process, port)

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=600)


@pytest.fixture(scope="module")
def plain(start_ui) -> Server:
    """A UI as it is without options; the last test of this file ends it."""
    return start_ui()


@pytest.fixture(scope="module")
def asking(start_ui) -> Server:
    """A UI that asks for a password; the last test of this file ends it."""
    return start_ui("--host", "0.0.0.0", "--allowed-hosts", "gpu.lab", "--auth", **LOGIN)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(port: int, path: str, method: str = "GET", data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def processes_of(port: int) -> list[str]:
    """Command lines of the processes that serve a port."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if (f"--port {port} " in command or f":{port} " in command) and "mlflow" in command:
            found.append(command)
    return found


def test_ui_shows_pictures_and_lets_nobody_write_files(plain, storage):
    port = plain.port
    client = MlflowClient(f"http://127.0.0.1:{port}")
    (run,) = client.search_runs(["1"])
    (picture,) = [file.path for file in client.list_artifacts(run.info.run_id, "images") if file.path.endswith(".png")]
    query = urllib.parse.urlencode({"path": picture, "run_uuid": run.info.run_id})
    status, content = ask(port, f"/get-artifact?{query}")
    assert (status, content[1:4]) == (200, b"PNG")
    for method, data in (("PUT", b"content"), ("DELETE", None)):
        for root in ("api", "ajax-api"):
            assert ask(port, f"/{root}/2.0/mlflow-artifacts/artifacts/new.txt", method, data)[0] == 503
    assert not list(storage.rglob("new.txt"))


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "config"), ("PUT", "config"), ("POST", "message"), ("GET", "providers"), ("POST", "skills/install")],
)
def test_nobody_reaches_the_assistant_which_would_run_commands(plain, method, path):
    data = None if method == "GET" else b'{"message": "hello"}'
    asked = ask(
        plain.port, f"/ajax-api/3.0/mlflow/assistant/{path}", method, data, **{"Content-Type": "application/json"}
    )
    assert asked[0] == 404


def search_from(port: int, host: str, password: str = LOGIN["MLFLOW_TRACKING_PASSWORD"]) -> int:
    """What a browser gets that calls the server by a name, with a password, and searches for experiments."""
    headers = {"Host": host, "Origin": f"http://{host}", "Content-Type": "application/json"}
    headers["Authorization"] = "Basic " + base64.b64encode(f"mayor:{password}".encode()).decode()
    return ask(port, "/ajax-api/2.0/mlflow/experiments/search", "POST", b'{"max_results": 1}', **headers)[0]


def test_nobody_calls_the_server_by_a_name_that_it_was_not_given(plain):
    assert search_from(plain.port, f"127.0.0.1:{plain.port}") == 200
    assert search_from(plain.port, f"gpu.lab:{plain.port}") == 403


@pytest.mark.parametrize("name", ["10.evil.example", "192.168.evil.example", "172.16.evil.example", "0.evil.example"])
def test_page_of_another_that_its_name_resolves_to_this_machine_reads_nothing(plain, name):
    """A browser that reads from such a page names no other origin."""
    for host in (name, f"{name}:{plain.port}"):
        assert ask(plain.port, "/api/2.0/mlflow/experiments/get?experiment_id=1", Host=host)[0] == 403


def test_browser_that_comes_through_a_tunnel_has_another_port(plain, asking):
    for server in (plain, asking):
        assert search_from(server.port, "localhost:8080") == search_from(server.port, "[::1]:8080") == 200


def test_server_on_another_address_of_this_machine_may_be_called_by_it(storage, find_free_port, monkeypatch):
    served = []
    monkeypatch.setattr(browse, "serve", lambda *arguments: served.append(arguments))
    port = find_free_port()
    arguments = ["ui", "--storage", str(storage), "--port", str(port), "--host", "127.0.0.2"]
    CliRunner().invoke(app, arguments)
    assert served == [(storage, "127.0.0.2", port, ["127.0.0.2"], None)]


def test_link_of_all_addresses_opens_here_and_says_what_others_need(storage, find_free_port, monkeypatch):
    served = []
    monkeypatch.setattr(browse, "serve", lambda *arguments: served.append(arguments))
    port = find_free_port()
    arguments = ["ui", "--storage", str(storage), "--port", str(port), "--host", "0.0.0.0", "--auth"]
    out = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}).stdout
    ((*_, login),) = served
    assert served == [(storage, "0.0.0.0", port, [], login)]
    assert f"http://127.0.0.1:{port}/#/experiments" in out
    assert "0.0.0.0" not in out
    assert f"--allowed-hosts {socket.gethostname()}" in out
    assert f"It asks for a password: user street, password {login.password}\n" in out
    assert len(login.password) == 16


def test_searches_that_are_all_on_a_server_are_linked_and_nothing_is_served(asking, storage, tmp_path, monkeypatch):
    for key, value in LOGIN.items():
        monkeypatch.setenv(key, value)
    (tmp_path / "streets").mkdir()
    shutil.copy(storage / "streets" / "settings.json", tmp_path / "streets")
    server = f"http://127.0.0.1:{asking.port}"
    place = build_place({"data": tmp_path, "storage": tmp_path, "tracking_uri": server})
    write_place(place, tmp_path / "streets" / "place.json")
    done = CliRunner().invoke(app, ["ui", "--storage", str(tmp_path)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert f"streets: {server}/#/experiments/1/runs" in done.stdout
    assert "Open the links: their servers run already" in done.stdout


def test_busy_port_is_refused_in_one_message(run_cli, storage):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        done = run_cli("ui", "--storage", storage, "--port", port)
    assert done.returncode == 2
    assert f"--port {port} cannot be listened on" in done.stderr
    assert "use another port" in done.stderr
    assert "Traceback" not in done.stderr


def test_database_that_is_none_is_told_with_what_to_do_before_a_server_starts(run_cli, tmp_path, find_free_port):
    (tmp_path / "mlflow.db").write_text("this is no database " * 100)
    done = run_cli("ui", "--storage", tmp_path, "--port", find_free_port())
    assert done.returncode == 2
    assert "is no whole MLflow database (" in done.stderr
    assert "Traceback" not in done.stderr


def test_server_that_dies_at_the_start_is_told_with_its_last_lines(run_cli, storage, find_free_port):
    options = {"GUNICORN_CMD_ARGS": "--no-such-option"}
    done = run_cli("ui", "--storage", storage, "--port", find_free_port(), **options)
    assert done.returncode == 2
    assert "; it said last:" in done.stderr
    assert "--no-such-option" in done.stderr


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/get-artifact?path=a&run_uuid=b"),
        ("GET", "/model-versions/get-artifact?path=a&name=b&version=1"),
        ("GET", "/ajax-api/2.0/mlflow/experiments/search?max_results=1"),
        ("POST", "/api/2.0/mlflow/experiments/create"),
        ("POST", "/graphql"),
        ("POST", "/v1/traces"),
        ("POST", "/api/2.0/mlflow/users/create"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/new.txt"),
        ("DELETE", "/ajax-api/2.0/mlflow-artifacts/artifacts/new.txt"),
        ("POST", "/ajax-api/3.0/jobs"),
    ],
)
def test_nothing_is_answered_without_the_password(asking, method, path):
    data = None if method == "GET" else b"{}"
    assert ask(asking.port, path, method, data, **{"Content-Type": "application/json"})[0] == 401


def test_browsers_elsewhere_may_use_an_allowed_name(asking):
    port = asking.port
    assert search_from(port, f"gpu.lab:{port}") == 200
    assert search_from(port, f"gpu.lab:{port}", password="another") == 401
    assert search_from(port, f"127.0.0.1:{port}") == 200
    assert search_from(port, f"evil.example:{port}") == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://gpu.lab.evil.example"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_pages_of_others_change_nothing_through_a_browser_that_knows_the_password(asking, origin, kind):
    login = base64.b64encode(f"mayor:{LOGIN['MLFLOW_TRACKING_PASSWORD']}".encode()).decode()
    headers = {"Origin": origin, "Content-Type": kind, "Authorization": f"Basic {login}"}
    new = b'{"name": "theirs"}'
    for path in ("experiments/create", "runs/delete", "upload-artifact"):
        for root in ("api", "ajax-api"):
            assert ask(asking.port, f"/{root}/2.0/mlflow/{path}", "POST", new, **headers)[0] in (403, 404)
    assert ask(asking.port, "/ajax-api/2.0/mlflow/experiments/create", "POST", new, **headers)[0] == 403


def test_search_is_sent_to_a_server_that_asks_and_its_password_is_found_nowhere(asking, run_cli, storage, tmp_path):
    """By MLflow's own variables, and with the password in the address."""
    shutil.copytree(storage / "streets", tmp_path / "sent")
    (tmp_path / "sent" / "journal.jsonl").write_text('{"event": "opened", "time": 1.0, "cache_key": "k"}\n')
    command = ("sync", "sent", "--storage", tmp_path, "--tracking-uri")
    refused = run_cli(*command, f"http://127.0.0.1:{asking.port}")
    assert refused.returncode == 2
    assert "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in refused.stderr
    taken = run_cli(*command, f"http://127.0.0.1:{asking.port}", **LOGIN)
    assert taken.returncode == 0, taken.stderr
    again = run_cli(*command, f"http://mayor:{LOGIN['MLFLOW_TRACKING_PASSWORD']}@127.0.0.1:{asking.port}")
    assert again.returncode == 0, again.stderr
    said = "".join(done.stdout + done.stderr for done in (refused, taken, again))
    files = [file for folder in (tmp_path, storage) for file in folder.rglob("*") if file.is_file()]
    assert "PLANTED" not in said
    assert [file for file in files if b"PLANTED" in file.read_bytes()] == []
    client = open_client(own_tracking_uri(storage))
    (run,) = client.search_runs([client.get_experiment_by_name("sent").experiment_id])
    assert read_document(client, run.info.run_id, "settings.json")["place"]["tracking_uri"].startswith("http://")


def find_users_files() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("street-*/users.db"))


@pytest.mark.parametrize(("server", "number"), [("plain", signal.SIGHUP), ("asking", signal.SIGTERM)])
def test_signal_ends_the_server_and_all_its_processes(server, number, request, wait_until):
    served = request.getfixturevalue(server)
    port, before = served.port, find_users_files()
    assert processes_of(port)
    os.kill(served.process.pid, number)
    out, err = served.process.communicate(timeout=600)
    assert (served.process.returncode, err) == (0, "")
    wait_until(lambda: not processes_of(port), "no process is left")
    assert not answers(port)
    host = {"plain": "127.0.0.1", "asking": "gpu.lab"}[server]
    assert f"streets: http://{host}:{port}/#/experiments/1/runs" in out
    assert "broken/settings.json cannot be read" in out, "named, and the others are linked"
    assert "apart: its runs are in postgresql://***@host/db, which is not served here" in out
    assert "PLANTED" not in out
    if server == "asking":
        # Other servers of this machine may have gone meanwhile.
        assert len(before - find_users_files()) >= 1
