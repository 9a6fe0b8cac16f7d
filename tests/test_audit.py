import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.audit import LOCK, ask, read_pins

PINS = {"ray": "2.60.0", "torch": "2.14.0"}


class Database(BaseHTTPRequestHandler):
    """Knows one advisory against ray 2.60.0."""

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        known = {("ray", "2.60.0"): {"vulns": [{"id": "GHSA-1", "modified": "2026-01-01T00:00:00Z"}]}}
        results = [known.get((each["package"]["name"], each["version"]), {}) for each in queries]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"results": results[: self.server.most]}).encode())  # type: ignore[attr-defined]

    def log_message(self, *given: object) -> None: ...


@pytest.fixture
def database() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Database)
    server.most = 9  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def address(server: HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/v1/querybatch"


def test_what_is_known_against_a_version_is_told(database):
    assert ask(PINS, address(database)) == ["ray 2.60.0: GHSA-1 (https://osv.dev/vulnerability/GHSA-1)"]
    assert ask({"ray": "2.61.0"}, address(database)) == []


def test_an_answer_that_lacks_packages_is_none(database):
    database.most = 1  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="something else than was asked"):
        ask(PINS, address(database))


def test_a_database_that_is_away_is_an_error(database):
    gone = address(database).replace(str(database.server_port), "9")
    with pytest.raises(OSError, match="refused"):
        ask(PINS, gone)


def test_every_package_of_the_lock_is_asked_for():
    pins = read_pins(LOCK)
    assert pins["ray"] == "2.60.0"
    assert len(pins) > 100
