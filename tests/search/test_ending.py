import signal

import pytest

from search.ending import unbroken


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_further_ctrl_c_breaks_nothing_off_that_ends_already_and_is_taken_again_after_it(number):
    heard = []
    before = signal.signal(number, lambda *given: heard.append("outside"))
    try:
        with unbroken():
            signal.raise_signal(number)
        assert heard == []
        signal.raise_signal(number)
        assert heard == ["outside"]
    finally:
        signal.signal(number, before)
