import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.drill.processes import children_of, freeze_busiest_thread, kill_session, list_session


def test_a_session_is_killed_with_its_children_and_nothing_else():
    code = "import subprocess, sys; subprocess.Popen(['sleep', '600']); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        children = [pid for pid, _ in children_of(leader.pid)]
        assert sorted(list_session(leader.pid)) == sorted([leader.pid, *children])
        assert len(children) == 1
        assert leader.pid in [pid for pid, _ in children_of(os.getpid())]
        kill_session(leader.pid)
        assert leader.wait() == -9
    # The kernel takes a killed child away when it gets to it.
    for _ in range(6000):
        if not list_session(leader.pid):
            return
        time.sleep(0.01)
    raise AssertionError(list_session(leader.pid))


def test_a_thread_is_frozen_while_its_process_lives_and_can_be_killed():
    code = (
        "import sys, threading\n"
        "def compute():\n"
        "    while True: pass\n"
        "threading.Thread(target=compute, daemon=True).start()\n"
        "print('computes', flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        thread = freeze_busiest_thread(process.pid)
        state = Path(f"/proc/{process.pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()[0]
    except PermissionError:
        pytest.skip("no process may stop threads of another here")
    finally:
        process.kill()
        process.communicate(timeout=600)
    assert thread != process.pid
    assert state == "t"
