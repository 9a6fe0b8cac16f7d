import queue
import socket

import pytest

from search.run.head import _MOST_MISSED, _count_missed, head_watched

EVERY_SECONDS = 0.05


@pytest.fixture
def head():
    server = socket.create_server(("127.0.0.1", 0))
    yield server
    server.close()


def test_a_lost_head_is_told_once_and_again_after_it_was_back(head):
    host, port = head.getsockname()
    told: queue.Queue[str] = queue.Queue()
    with head_watched(f"{host}:{port}", told.put, EVERY_SECONDS):
        head.close()
        assert told.get(timeout=600).startswith(f"The cluster's head ({host}:{port}) does not answer;")
        with socket.create_server((host, port)) as back:
            # It was seen when somebody has knocked.
            back.settimeout(60)
            back.accept()[0].close()
        assert "does not answer" in told.get(timeout=600)
    assert told.empty()


def test_nothing_is_told_of_a_head_that_answers_and_of_none(head):
    told: list[str] = []
    host, port = head.getsockname()
    head.settimeout(60)
    with head_watched(f"{host}:{port}", told.append, EVERY_SECONDS):
        for _ in range(5):
            head.accept()[0].close()
    with head_watched("", told.append):
        pass
    assert told == []


def test_a_head_that_is_gone_is_lost_at_the_first_knock_and_a_busy_one_is_not(head):
    host, port = head.getsockname()
    head.listen(0)
    callers = [socket.socket() for _ in range(3)]
    for each in callers:
        each.setblocking(False)
        each.connect_ex((host, port))
    assert _count_missed(host, port, 0.2) == 1, "it takes no more calls than wait already"
    for each in [*callers, head]:
        each.close()
    assert _count_missed(host, port, 5) == _MOST_MISSED
