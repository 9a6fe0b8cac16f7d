import pytest

from segcore.training.freed import wait_for_memory

GIB = 2**30


@pytest.mark.parametrize(
    ("free", "share", "waited"),
    [
        ([78], 1.0, 0.0),
        ([69, 79], 1.0, 0.0),
        ([10, 30, 67, 68], 1.0, 3.0),
        ([30, 34], 0.5, 1.0),
        ([10] * 61 + [80], 1.0, None),
        ([10] * 60 + [80], 1.0, 60.0),
    ],
    ids=["free", "enough is free", "freed after three looks", "a half", "a minute is over", "in the last second"],
)
def test_memory_of_a_dying_process_is_waited_for_a_minute_at_most(free, share, waited):
    """Of 80 GiB a whole training wants 68 free, half a one 34."""
    left, slept = iter(free), []
    assert wait_for_memory(lambda: (next(left) * GIB, 80 * GIB), share, slept.append) == waited
    assert sum(slept) == (60.0 if waited is None else waited)
