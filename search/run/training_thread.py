"""The one thread in which a worker process trains all its trials, one after the other.

Ray Tune starts a thread for each trial. torch keeps what cuDNN planned of a network by thread, so that each trial on a
GPU would plan its convolutions anew: six seconds of networks that are full of depthwise ones.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from queue import SimpleQueue

Task = tuple[Callable[[], None], Future[None]]


def run_in_training_thread(work: Callable[[], None]) -> None:
    """Run something in this process' training thread, and return or raise as it does.

    Args:
        work: what is to be run; what came before is waited for.
    """
    ended = Future[None]()
    _open_thread().put((work, ended))
    try:
        ended.result()
    finally:
        # Else what it raised would hold this frame, which holds it, and with both the network of the trial that failed.
        del ended


@cache
def _open_thread() -> SimpleQueue[Task]:
    tasks = SimpleQueue[Task]()
    # A daemon, as Ray's own threads are: a worker that Ray ends does not wait for its training.
    threading.Thread(target=_follow, args=(tasks,), name="training", daemon=True).start()
    return tasks


def _follow(tasks: SimpleQueue[Task]) -> None:
    while True:
        # In a call of its own: a name here would keep the last trial's network until the next one begins.
        _run(*tasks.get())


def _run(work: Callable[[], None], ended: Future[None]) -> None:
    try:
        work()
    # Ray ends a trial by SystemExit.
    except BaseException as error:
        ended.set_exception(error)
        del ended
    else:
        ended.set_result(None)
