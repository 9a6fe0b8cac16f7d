"""Keeps Ray from writing beside what a search says of itself: its loggers, its files of every result, its reports.

What a search misses is in the journal, and in Ray's own logs on each node.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ray._private import worker

# Ray Tune's own loggers write every result to three files and print boxes, and it writes down its whole state and
# remembers every result again and again; the journal replaces all of them.
QUIET: Final = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",
    "TUNE_WARN_THRESHOLD_S": "10",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
    # One process per core, which know nothing of the search's environment, so that no trial could be given to any.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A driver that was submitted as a job has the job's environment already, which may name the same variables.
    "RAY_OVERRIDE_JOB_RUNTIME_ENV": "1",
}


def keep_quiet() -> None:
    """Set what Ray reads when it starts; what its user has set stays."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray").setLevel(logging.CRITICAL)


@contextmanager
def without_reports() -> Iterator[None]:
    """Let a driver that connects meanwhile print no reports of nodes, whatever `log_to_driver` says.

    Of a node that was lost Ray prints forty lines of that node's log into the table of trials.
    """
    before = worker.listen_error_messages
    worker.listen_error_messages = _hear_nothing
    try:
        yield
    finally:
        worker.listen_error_messages = before


def _hear_nothing(driver: Any, stopped: threading.Event) -> None:
    """End at once, as the thread in which Ray listens."""
