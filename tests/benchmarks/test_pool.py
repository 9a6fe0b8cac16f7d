"""Jobs in processes: what fails, dies or is cut off takes no other job along."""

import math
import os
import time

from benchmarks.pool import run_jobs


def test_a_job_that_fails_is_told_with_its_reason_and_the_others_go_on():
    ended = {end.job: end for end in run_jobs(math.sqrt, [4.0, -1.0, 9.0], at_once=2, seconds=math.inf)}
    assert (ended[4.0].result, ended[9.0].result) == (2.0, 3.0)
    assert ended[-1.0].result is None
    assert ended[-1.0].error.startswith("ValueError: ")


def test_a_process_that_dies_makes_way_for_another():
    ended = list(run_jobs(os._exit, [3, 4], at_once=1, seconds=math.inf))
    assert [end.error for end in ended] == ["its process ended with 3", "its process ended with 4"]


def test_a_process_does_job_after_job():
    processes = {end.result for end in run_jobs(os.getsid, [0, 0], at_once=1, seconds=math.inf)}
    assert len(processes) == 1
    assert processes != {os.getsid(0)}


def test_jobs_are_made_as_they_are_begun():
    made = []

    def make():
        for job in (4.0, 9.0, 16.0):
            made.append(job)
            yield job

    ends = run_jobs(math.sqrt, make(), at_once=1, seconds=math.inf)
    assert next(ends).result == 2.0
    assert made == [4.0, 9.0]
    ends.close()


def test_what_is_under_way_at_the_end_of_the_time_is_cut_off():
    assert list(run_jobs(time.sleep, [600.0, 0.0], at_once=1, seconds=0.5)) == []
    assert list(run_jobs(math.sqrt, [4.0], at_once=1, seconds=0.0)) == []
