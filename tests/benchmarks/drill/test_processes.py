import os
import subprocess
import sys
import time

from benchmarks.drill.processes import children_of, kill_session, list_session


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
