"""How a trial stands, as MLflow's status of its run and in words: MLflow has no status for one that waits.

A trial that ASHA stopped waits with its checkpoint: its run is SCHEDULED, which people see as a clock, until its
search is closed or its checkpoint is given up; then it is FINISHED, for nothing has failed. What each tag says of it is
in words, `outcome` alone is for programs.
"""

import math
from dataclasses import dataclass
from typing import Final

from search.memory.events import Asked, Dropped, Ended, Reopened, Started, TrialEvent
from search.memory.history import History, TrialRecord
from search.memory.outcome import Outcome
from search.tracking.sent import stamp_of

_STATUS: Final = {
    Outcome.FINISHED: "FINISHED",
    Outcome.FAILED: "FAILED",
    Outcome.DIVERGED: "FAILED",
    Outcome.OUT_OF_MEMORY: "FAILED",
    Outcome.OVER_LIMIT: "KILLED",
    Outcome.PRUNED: "KILLED",
}

_WHOLE: Final = "trained to its end"
INTERRUPTED: Final = "interrupted"
"""The outcome of a trial, or a stage, that no process runs and that can go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How a run stands.

    Args:
        status: MLflow's.
        outcome: how it ended, for programs; empty while it has not.
        state: how it stands, in words.
        reason: why so, in words; may be empty.
    """

    status: str
    outcome: str = ""
    state: str
    reason: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """The run's tags that say it."""
        return {"outcome": self.outcome, "state": self.state, "reason": self.reason}


CLOSED: Final = State(status="FINISHED", outcome="finished", state="finished", reason="what it was run for is done")
"""Of a stage that has what it was run for."""


class States:
    """How trials stand after some events: of each the last state, and since when."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[State, int]] = {}

    def take(self, event: TrialEvent, before: TrialRecord | None, after: TrialRecord) -> None:
        """Take one event into account.

        Args:
            event: of a trial.
            before: the trial before the event; None when there was none.
            after: the trial after it.
        """
        match event:
            case Asked():
                self._set(event, running())
            case Started() if event.trial not in self._found or self._found[event.trial][0].status != "RUNNING":
                # Why a trial goes on stays said when a worker takes it.
                self._set(event, running())
            case Reopened() if before is not None:
                self._set(event, taken_up(before))
            case Ended():
                self._set(event, ended(after))
            case Dropped() if after.outcome is Outcome.STOPPED:
                self._found[event.trial] = ended(after), end_stamp(after)

    def pop(self) -> dict[int, tuple[State, int]]:
        """Return by trial its state and since when, milliseconds since the Unix epoch; and forget them."""
        found, self._found = self._found, {}
        return found

    def _set(self, event: TrialEvent, state: State) -> None:
        self._found[event.trial] = state, stamp_of(event)


def running(reason: str = "") -> State:
    """Return how a run stands that a process has."""
    return State(status="RUNNING", state="running", reason=reason)


def taken_up(trial: TrialRecord) -> State:
    """Return how a trial stands that goes on after it had ended.

    Args:
        trial: as it stood before.
    """
    if trial.outcome is Outcome.STOPPED and trial.kept:
        return running(f"promoted after epoch {trial.last_epoch}: a person spares it from ASHA")
    if trial.outcome is Outcome.STOPPED:
        return running(f"promoted after epoch {trial.last_epoch}: of those that got there it is among the best")
    return running(f"tried again after it was {trial.outcome}" if trial.outcome else "")


def interrupted() -> State:
    """Return how a trial, or a stage, stands that no process runs any more."""
    reason = "no process runs it; it goes on with the search"
    return State(status="KILLED", outcome=INTERRUPTED, state=INTERRUPTED, reason=reason)


def scoreless(ends: str) -> State:
    """Return how a search stands whose trials have all ended without a score.

    Args:
        ends: how many ended in which way, in words.
    """
    return State(status="FAILED", outcome="failed", state="ended without a score", reason=f"no trial can win: {ends}")


def ended(trial: TrialRecord, *, closed: bool = False) -> State:
    """Return how a trial stands that has an outcome.

    Args:
        trial: the trial.
        closed: whether its stage is closed, so that nothing goes on unless the stage is opened again.
    """
    assert trial.outcome is not None
    if trial.outcome is not Outcome.STOPPED:
        told = str(trial.outcome)
        reason = trial.message or (_WHOLE if trial.outcome is Outcome.FINISHED else "")
        return State(status=_STATUS.get(trial.outcome, "KILLED"), outcome=told, state=told, reason=reason)
    where = f"after epoch {trial.last_epoch} of {trial.values['epochs']}"
    last = trial.epochs.get(trial.last_epoch)
    if last is None or math.isnan(last.score):
        return State(status="FAILED", outcome=str(trial.outcome), state=f"stopped {where}", reason=trial.message)
    if trial.can_go_on and not closed:
        return State(status="SCHEDULED", outcome=str(trial.outcome), state=f"waits {where}", reason=trial.message)
    return State(status="FINISHED", outcome=str(trial.outcome), state=f"stopped {where}", reason=_tell_cut(trial))


def end_stamp(trial: TrialRecord) -> int:
    """Return when a trial ended, in milliseconds since the Unix epoch: it trained no longer, however long it waits."""
    assert trial.ended is not None
    return int(trial.ended * 1000)


def _tell_cut(trial: TrialRecord) -> str:
    if trial.can_go_on:
        return trial.message
    return f"{trial.message}; its checkpoint was given up, as enough that wait there were better by then"


def rank_stopped(history: History) -> dict[int, str]:
    """Return of each trial that ASHA stopped its rank after its last epoch, among all that got there by now."""
    stopped = [trial for trial in history.in_order if trial.outcome is Outcome.STOPPED]
    reached: dict[int, list[tuple[float, int]]] = {trial.last_epoch: [] for trial in stopped}
    for trial in history.in_order:
        for epoch in reached.keys() & trial.epochs.keys():
            if not math.isnan(trial.epochs[epoch].score):
                reached[epoch].append((-trial.epochs[epoch].score, trial.number))
    ordered = {epoch: [number for _, number in sorted(there)] for epoch, there in reached.items()}
    return {
        trial.number: f"rank {ordered[trial.last_epoch].index(trial.number) + 1} of {len(ordered[trial.last_epoch])}"
        for trial in stopped
        if trial.number in ordered[trial.last_epoch]
    }
