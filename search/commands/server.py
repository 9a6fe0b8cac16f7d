"""MLflow's server as `ui` starts it: on which address, for whom, with which files; and how all its processes end.

What is shown on it, and where, says `browse`.
"""

import ipaddress
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from search.commands.server_guard import PREFIX, clear_users
from search.ending import ENDS, guarded_by, list_heeded
from segcore.errors import ConfigError, TrackingError
from segcore.scratch import locked_folder

_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_USER_VARIABLE: Final = "MLFLOW_TRACKING_USERNAME"
_PASSWORD_VARIABLE: Final = "MLFLOW_TRACKING_PASSWORD"
_OWN_USER: Final = "street"
_LEAST_LETTERS: Final = 12
"""Of a password; MLflow's own rule."""
_LINES: Final = 20
_END_SECONDS: Final = 10.0

# The default of MLflow, uvicorn, has its Assistant beside the pages: for all who reach it from this machine, asked for
# nothing, it runs commands as whoever started it.
_WITHOUT_ASSISTANT: Final = ("--gunicorn-opts", "--threads 16")
_HOSTS_VARIABLE: Final = "MLFLOW_SERVER_ALLOWED_HOSTS"
_ORIGINS_VARIABLE: Final = "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"

# A password is hashed for a tenth of a second, at each request of a page or a search where none is remembered.
_AUTH_SETTINGS: Final = """[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{users}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 600
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who may use the server.

    Args:
        user: the only one.
        password: kept in no file; MLflow has its hash as long as the server runs.
        is_own: whether it was made here, so that nobody knows it yet.
    """

    user: str
    password: str = field(repr=False)
    is_own: bool


def choose_login(environment: Mapping[str, str]) -> Login:
    """Return the user and password of MLflow's own variables, which its clients use too; else make a password.

    Args:
        environment: the process's.

    Raises:
        ConfigError: when one of the two is missing or the password is too short.
    """
    user, password = environment.get(_USER_VARIABLE, ""), environment.get(_PASSWORD_VARIABLE, "")
    if not user and not password:
        return Login(user=_OWN_USER, password=secrets.token_urlsafe(_LEAST_LETTERS), is_own=True)
    if not user or not password:
        raise ConfigError(f"--auth: set both {_USER_VARIABLE} and {_PASSWORD_VARIABLE}, or none and one is made.")
    if len(password) < _LEAST_LETTERS:
        raise ConfigError(
            f"--auth: the password in {_PASSWORD_VARIABLE} has {len(password)} letters; use {_LEAST_LETTERS} or more, "
            "or set none and one is made."
        )
    return Login(user=user, password=password, is_own=False)


def require_safe(host: str, port: int, *, asks_password: bool) -> None:
    """Refuse to let other machines in who are asked for nothing: they could delete every run.

    Raises:
        ConfigError: when a server without a password would listen on another address than loopback.
    """
    if asks_password or _is_loopback(host):
        return
    raise ConfigError(
        f"--host {host}: whoever reaches that address could change and delete all runs; ask for a password by --auth, "
        f"or leave --host out and let browsers elsewhere come by 'ssh -L {port}:127.0.0.1:{port} "
        f"{socket.gethostname()}'."
    )


def require_free(host: str, port: int) -> None:
    """Raise `ConfigError` when a port cannot be listened on."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise ConfigError(
            f"--host {host} --port {port} cannot be listened on ({error.strerror or error}); use another port, such "
            f"as --port {port % 60000 + 1001}, and an address of this machine."
        ) from error


def in_address(host: str) -> str:
    """Return a host as it stands in an address."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def serve(folder: Path, host: str, port: int, names: Sequence[str], login: Login | None) -> None:
    """Run MLflow's server on a storage until Ctrl-C or a signal ends it.

    Args:
        folder: of all searches.
        host: address to listen on.
        port: port to listen on.
        names: that browsers call this machine by, beside those that it has for itself; none: also by any address of a
            private network, and by any name that begins like one, which the password has to make harmless.
        login: who may use it; None: everyone who reaches it.

    Raises:
        TrackingError: when it ends by itself, with what it said last.
    """
    command, environment = _build_command(folder, host, port), _allow_hosts(port, names)
    if login is None:
        _run(command, environment)
        return
    clear_users()
    # Of mode 0700.
    with locked_folder(PREFIX, Path(tempfile.gettempdir())) as private:
        settings = private / "auth.ini"
        settings.write_text(_AUTH_SETTINGS.format(users=private / "users.db"), encoding="utf-8")
        # A command line is shown to every user of the machine, an environment is not.
        environment |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(settings),
            "MLFLOW_AUTH_ADMIN_USERNAME": login.user,
            "MLFLOW_AUTH_ADMIN_PASSWORD": login.password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(),
        }
        _run([*command, "--app-name", "basic-auth"], environment)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _build_command(folder: Path, host: str, port: int) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", in_address(host), "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    # Pictures and models are files that the server reads by itself; what else it can do with files, anyone might ask.
    command += ["--no-serve-artifacts", "--default-artifact-root", (folder / "mlartifacts").as_uri()]
    return [*command, *_WITHOUT_ASSISTANT]


def _allow_hosts(port: int, names: Sequence[str]) -> dict[str, str]:
    """Return the variables that let browsers in which call this machine by these names, or by one of its own."""
    if not names:
        return {}
    # A list of one's own takes the place of MLflow's, whose 10.* lets in a page of 10.evil.example that it resolves to
    # this machine.
    hosts = [in_address(name) for name in names]
    at_port = [f"{host}:{port}" for host in hosts]
    # Through a tunnel the port is another; a bracket would begin a set of letters.
    anywhere = [f"{name.replace('[', '[[]')}:*" for name in _LOCAL_NAMES]
    return {
        _HOSTS_VARIABLE: ",".join([*hosts, *at_port, *_LOCAL_NAMES, *anywhere]),
        _ORIGINS_VARIABLE: ",".join(f"http://{name}:{port}" for name in (*hosts, *_LOCAL_NAMES)),
    }


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    for number in list_heeded():
        signal.signal(number, _interrupt)
    process = subprocess.Popen(
        command,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said: deque[str] = deque(maxlen=_LINES)
        reader = threading.Thread(target=said.extend, args=(process.stdout,), daemon=True)
        reader.start()
        with guarded_by("search.commands.server_guard", str(process.pid)):
            code = process.wait()
    except KeyboardInterrupt:
        return
    finally:
        _end_group(process)
    # Nobody told it to: whatever its code says, it serves no more.
    reader.join(timeout=1)
    raise TrackingError(f"MLflow's server ended with exit code {code}; it said last:\n{''.join(said).rstrip()}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_group(process: "subprocess.Popen[str]") -> None:
    # A second Ctrl-C must not leave half of the group behind, and the server's children outlive it.
    for number in (signal.SIGINT, *ENDS):
        signal.signal(number, signal.SIG_IGN)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
