"""What time it is for a search: the time of day when this process began, and what has passed since.

The clock of a machine may be set while a search runs: by hand, by a time server that is found late, by a virtual
machine that is moved. Durations, orders and budgets are reckoned from the moments of events, so none of them may jump.
"""

import time
from typing import Final

# Linux's clock that goes on while a machine sleeps; elsewhere another that nobody sets.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BEGAN: Final = time.time() - time.clock_gettime(_STEADY)


def now() -> float:
    """Return seconds since the Unix epoch; they go on evenly, whatever the machine's clock is set to meanwhile."""
    return _BEGAN + time.clock_gettime(_STEADY)
