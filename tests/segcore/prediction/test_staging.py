"""Things made ahead: in order, only so many, and errors where their results would be."""

import threading

import numpy as np
import pytest
import torch

from segcore.machine import Machine
from segcore.prediction.staging import lay_out, make_ahead, send


def test_results_come_in_order_and_only_so_many_are_asked_for_ahead():
    told = []

    def tell():
        for number in range(6):
            told.append(number)
            yield number

    made = make_ahead(lambda number: 10 * number, tell(), ahead=2)
    assert next(made) == 0
    assert told == [0, 1, 2]
    assert list(made) == [10, 20, 30, 40, 50]


def test_an_error_is_raised_where_its_result_would_be():
    made = make_ahead(lambda number: 6 // number, [3, 2, 0, 1])
    assert [next(made), next(made)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(made)


def test_the_next_is_made_in_a_thread_while_the_last_is_used():
    made = {number: threading.Event() for number in range(3)}
    for number in make_ahead(lambda number: (made[number].set(), number)[1], range(3), ahead=1):
        assert number == 2 or made[number + 1].wait(600)


def test_who_stops_asking_ends_the_making():
    threads = []
    made = make_ahead(lambda number: threads.append(threading.current_thread()), iter(range(1000)))
    next(made)
    made.close()
    assert 1 <= len(threads) <= 3 and not threads[0].is_alive()


def test_pixels_of_a_read_only_map_arrive_whole():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    pixels.flags.writeable = False
    arrived = send(lay_out(pixels[:, ::2], Machine()), Machine())
    assert torch.equal(arrived, torch.tensor([[0, 2], [4, 6], [8, 10]], dtype=torch.uint8))
