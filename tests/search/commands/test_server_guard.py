"""What is left of a server whose `ui` was killed; a sleeping program stands for the server."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from search.commands import server_guard
from search.commands.server_guard import PREFIX, clear_users, end_group
from segcore.scratch import locked_folder

SERVING = """
import subprocess, sys, tempfile, time
from pathlib import Path
from search.commands.server_guard import PREFIX
from search.ending import guarded_by
from segcore.scratch import locked_folder

with locked_folder(PREFIX, Path(tempfile.gettempdir())) as folder:
    (folder / "users.db").touch()
    server = subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True)
    with guarded_by("search.commands.server_guard", str(server.pid)):
        print(server.pid, flush=True)
        time.sleep(600)
"""
SERVER = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"


def test_a_server_whose_ui_was_killed_ends_and_its_users_are_deleted(tmp_path, wait_until):
    with subprocess.Popen(
        [sys.executable, "-c", SERVING, SERVER],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as ui:
        assert ui.stdout is not None
        number = int(ui.stdout.readline())
        assert [file.name for file in tmp_path.glob(f"{PREFIX}*/*")] == ["users.db"]
        ui.kill()
    wait_until(lambda: not is_alive(number), "the server ends")
    wait_until(lambda: not list(tmp_path.iterdir()), "its users are deleted")


def test_a_server_that_does_not_end_by_itself_is_killed(monkeypatch):
    monkeypatch.setattr(server_guard, "_ROUNDS", 1)
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, start_new_session=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        end_group(server.pid)
        assert server.wait() == -signal.SIGKILL


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that has ended may wait for a parent that buries it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_users_of_a_server_that_serves_stay(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with locked_folder(PREFIX, tmp_path) as serving:
        (tmp_path / f"{PREFIX}killed").mkdir()
        clear_users()
        assert list(tmp_path.iterdir()) == [serving]
