"""`deploy/mlflow_server.sh`, run with a program in MLflow's place that says how it was started."""

import configparser
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.cli import cli

SCRIPT = Path(__file__).parents[2] / "deploy" / "mlflow_server.sh"
STUB = """#!/usr/bin/env python3
import json, os, sys
names = ("MLFLOW_AUTH_CONFIG_PATH", "MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION")
print(json.dumps([sys.argv[1:], {name: os.environ[name] for name in names}, dict(os.environ)]))
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[[], tuple[list[str], dict[str, str], dict[str, str]]]:
    """Return a function that starts the server; it gives its arguments, what it needs of the environment, and all."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    stub = tmp_path / "bin" / "mlflow"
    stub.parent.mkdir()
    stub.write_text(STUB)
    stub.chmod(0o755)
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{stub.parent}:{os.environ['PATH']}"}
    command = ["bash", str(SCRIPT), str(tmp_path / "mlflow"), "10.0.0.7", "street-head:5000", "localhost:5000"]

    def run() -> tuple[list[str], dict[str, str], dict[str, str]]:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=True)
        arguments, needed, everything = json.loads(done.stdout)
        return arguments, needed, everything

    return run


def read(file: Path) -> dict[str, str]:
    config = configparser.ConfigParser(interpolation=None)
    config.read(file)
    return dict(config["mlflow"])


def test_server_is_started_as_mlflow_understands_it(start, tmp_path):
    arguments, _, _ = start()
    server = cli.commands["server"]
    options = server.make_context("server", arguments[1:]).params
    assert arguments[0] == "server"
    assert (options["host"], options["port"], options["app_name"]) == ("10.0.0.7", 5000, "basic-auth")
    assert options["allowed_hosts"] == "street-head:5000,localhost:5000"
    assert options["backend_store_uri"] == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    assert options["artifacts_destination"] == f"{tmp_path}/mlflow/artifacts"
    assert options["workers"] == "1"


def test_password_is_made_once_and_known_to_mlflows_clients(start, tmp_path):
    _, needed, _ = start()
    users = read(Path(needed["MLFLOW_AUTH_CONFIG_PATH"]))
    known = read(tmp_path / ".mlflow" / "credentials")
    assert users["database_uri"] == f"sqlite:///{tmp_path}/mlflow/users.db"
    assert (users["admin_username"], users["default_permission"]) == ("search", "NO_PERMISSIONS")
    assert len(users["admin_password"]) == 32
    assert users["auth_cache_ttl_seconds"] == "600", "it is hashed once, not at each request"
    assert known == {
        "mlflow_tracking_username": "search",
        "mlflow_tracking_password": users["admin_password"],
    }
    (tmp_path / ".mlflow" / "credentials").unlink()
    _, again, _ = start()
    assert again == needed
    assert read(tmp_path / ".mlflow" / "credentials") == known


def test_password_is_seen_by_its_owner_alone(start, tmp_path):
    arguments, needed, everything = start()
    password = read(Path(needed["MLFLOW_AUTH_CONFIG_PATH"]))["admin_password"]
    files = [file for folder in ("mlflow", ".mlflow") for file in (tmp_path / folder).rglob("*")]
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert not [argument for argument in arguments if password in argument]
    assert not [name for name, value in everything.items() if password in value]
