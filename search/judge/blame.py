"""Whose fault it is that workers fail, the trial's or the node's; built from a stage's events, anew in each run.

What follows from it, another try elsewhere or a node that is given no more trials, is done in `run.retries`.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from search.memory.events import Ended, Epoch, Event, Opened, Reopened, Restarted, Started
from search.memory.outcome import Outcome

_LOOKED_AT: Final = 9
"""So many attempts on a node, the last, say how it is now."""
_BAD_ROUNDS: Final = 3
"""So many trials failed on a bad node, one after another: what kills all its workers at once may happen once."""
_BAD_SHARE: Final = 0.5
_TIMES_WORSE: Final = 3
"""So much larger a share of attempts fails on a bad node than elsewhere; else the cause is none of the node's."""
_GOOD_ELSEWHERE: Final = 3
"""So many attempts must have gone well elsewhere."""
_SECOND_CHANCES: Final = 2
"""So often may a trial fail on a node before it is tried on another."""
_MOST_FAILURES: Final = 20
"""A trial whose nodes die again and again may be what kills them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A worker that failed.

    Args:
        node: that it was on, as Ray names it, or None.
        of_node: whether the fault is known to be the node's.
    """

    node: str | None
    of_node: bool = False


@dataclass(slots=True)
class _Attempt:
    """A trial that a worker took.

    Args:
        trial: its number.
        node: that it ran on, as Ray names it, or None.
        begun: when, counted in events.
        reported: whether it has reported an epoch.
        failed: when its worker failed, counted in events; None: it has not.
    """

    trial: int
    node: str | None
    begun: int
    reported: bool = False
    failed: int | None = None


class Blame:
    """Counts failures by trial and by node."""

    def __init__(self) -> None:
        self._events = 0
        self._running: dict[int, _Attempt] = {}
        self._failures: defaultdict[int, list[Failure]] = defaultdict(list)
        self._given_up: set[int] = set()
        self._by_node: defaultdict[str, deque[_Attempt]] = defaultdict(lambda: deque(maxlen=_LOOKED_AT))

    def apply(self, event: Event) -> None:
        """Take one event into account."""
        self._events += 1
        match event:
            case Opened():
                for known in (self._running, self._failures, self._given_up, self._by_node):
                    known.clear()
            case Started():
                self._running[event.trial] = _Attempt(event.trial, event.node, self._events)
            case Epoch() if (attempt := self._running.get(event.trial)) and not attempt.reported:
                attempt.reported = True
                self._keep(attempt)
            case Restarted():
                self._fail(event.trial, Failure(node=event.node, of_node=event.of_node))
            case Ended(outcome=Outcome.FAILED) if event.node is not None:
                self._fail(event.trial, Failure(node=event.node))
                self._given_up.add(event.trial)
            case Ended():
                self._running.pop(event.trial, None)
            case Reopened():
                self._given_up.discard(event.trial)

    def node_of(self, trial: int) -> str | None:
        """Return the node that a trial runs on, as Ray names it; None when it is not known."""
        attempt = self._running.get(trial)
        return attempt.node if attempt is not None else None

    def find_running(self, node: str | None) -> set[int]:
        """Return the trials that run on a node; None: on any."""
        return {trial for trial, attempt in self._running.items() if node is None or attempt.node == node}

    def count_failures(self, trial: int) -> int:
        """Return how often a trial's workers failed."""
        return len(self._failures[trial])

    def may_go_on(self, trial: int, failure: Failure, max_failures: int, fit: Collection[str]) -> bool:
        """Say whether a trial is tried again that fails once more.

        Args:
            trial: its number.
            failure: the last one, which no event tells of yet.
            max_failures: how many failures of its own it may have.
            fit: nodes that are there and have not been left out; on any other the failure is the node's.
        """
        return _is_bearable([*self._failures[trial], failure], max_failures, fit)

    def find_wronged(self, max_failures: int, fit: Collection[str]) -> list[int]:
        """Return the trials that were given up for failures that turned out to be a node's.

        Args:
            max_failures: how many failures of its own a trial may have.
            fit: nodes that are there and have not been left out.
        """
        return [trial for trial in sorted(self._given_up) if _is_bearable(self._failures[trial], max_failures, fit)]

    def find_bad(self, able: Collection[str]) -> set[str]:
        """Return the nodes on which trial after trial fails while others are fine.

        Args:
            able: nodes that are there and can hold a trial, as Ray names them.
        """
        return {node for node in able if self._is_bad(node, [other for other in able if other != node])}

    def find_avoided(self, trial: int, able: Collection[str]) -> set[str]:
        """Return the nodes on which a trial failed so often that it is tried elsewhere; none where there is no other.

        Args:
            trial: its number.
            able: nodes that are there and can hold a trial, as Ray names them.
        """
        failed = Counter(failure.node for failure in self._failures[trial])
        avoided = {node for node in able if failed[node] >= _SECOND_CHANCES}
        return avoided if set(able) - avoided else set()

    def _fail(self, trial: int, failure: Failure) -> None:
        self._failures[trial].append(failure)
        # A worker may die before the trial has started.
        attempt = self._running.pop(trial, None) or _Attempt(trial, failure.node, self._events)
        attempt.failed = self._events
        if not attempt.reported:
            self._keep(attempt)

    def _keep(self, attempt: _Attempt) -> None:
        if attempt.node is not None:
            self._by_node[attempt.node].append(attempt)

    def _is_bad(self, node: str, others: Collection[str]) -> bool:
        here = self._by_node.get(node, ())
        elsewhere = [attempt for other in others for attempt in self._by_node.get(other, ())]
        failed = [attempt for attempt in here if attempt.failed is not None]
        good = sum(attempt.failed is None for attempt in elsewhere)
        if len({attempt.trial for attempt in failed}) < _BAD_ROUNDS or good < _GOOD_ELSEWHERE:
            return False
        share, share_elsewhere = len(failed) / len(here), 1 - good / len(elsewhere)
        worse = share >= _BAD_SHARE and share >= _TIMES_WORSE * share_elsewhere
        return worse and _count_rounds(failed) >= _BAD_ROUNDS


def _is_bearable(failures: Collection[Failure], max_failures: int, fit: Collection[str]) -> bool:
    own = sum(not each.of_node and (each.node is None or each.node in fit) for each in failures)
    return own <= max_failures and len(failures) <= max_failures + _MOST_FAILURES


def _count_rounds(failed: Collection[_Attempt]) -> int:
    """Return how many failures there are of which each began after the one before it was over."""
    rounds, over = 0, -1
    for attempt in sorted(failed, key=lambda each: each.failed or 0):
        if attempt.begun > over:
            rounds, over = rounds + 1, attempt.failed or 0
    return rounds
