import math
import operator
import os
import time
from functools import partial

import pytest

from benchmarks.quality.crew import Crew, CrewError

FOUR, NINE, BAD, DIES = partial(math.sqrt, 4), partial(math.sqrt, 9), partial(math.sqrt, -1), partial(os._exit, 3)


def test_a_process_that_dies_or_fails_is_replaced_and_its_job_is_tried_twice():
    told: list[str] = []
    with Crew(operator.call, 1, told.append) as crew:
        done = [result for _, result in crew.do_all([FOUR, DIES, NINE, BAD, FOUR])]
    assert done == [2.0, 3.0, 2.0]
    assert told[:2] == ["a process died with exit code 3"] * 2
    assert len(told) == 4 and all(line.startswith("ValueError: ") for line in told[2:])


def test_jobs_that_all_fail_end_the_whole():
    with Crew(operator.call, 1, lambda line: None) as crew, pytest.raises(CrewError, match="3 tries in a row failed"):
        list(crew.do_all([BAD] * 5))


def test_what_runs_at_the_end_of_the_time_is_given_up():
    with Crew(operator.call, 1, lambda line: None) as crew:
        assert list(crew.do_all([partial(time.sleep, 600)], until=time.monotonic() + 0.1)) == []
