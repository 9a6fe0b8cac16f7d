"""Which trials were stopped when and why, and what became of them; a history forgets that when a trial goes on.

Built from a search's events alone, like `memory.history`; `spending` says how many are stopped now.
"""

from dataclasses import dataclass, replace

from search.memory.events import Asked, Ended, Epoch, Event, Reopened
from search.memory.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """ASHA stopped a trial.

    Args:
        trial: its number.
        epoch: finished epochs.
        reason: its rank there, in words.
        time: seconds since the Unix epoch.
        taken_up: when it went on, seconds since the Unix epoch; None while it waits.
    """

    trial: int
    epoch: int
    reason: str
    time: float
    taken_up: float | None = None


class Stops:
    """Every stop of a search in the order of its journal."""

    def __init__(self) -> None:
        self.all: list[Stop] = []
        self._epochs: dict[int, Epoch] = {}

    def apply(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case Asked():
                # One that is asked for again begins anew: its stops were another training's.
                self.all = [stop for stop in self.all if stop.trial != event.trial]
                self._epochs.pop(event.trial, None)
            case Epoch():
                self._epochs[event.trial] = event
            case Ended() if event.outcome is Outcome.STOPPED:
                last = self._epochs.get(event.trial)
                self.all.append(
                    Stop(
                        trial=event.trial,
                        epoch=last.epoch if last else 0,
                        reason=(last.verdict if last else "") or event.message,
                        time=event.time,
                    )
                )
            case Reopened():
                self.all = [
                    replace(stop, taken_up=event.time) if stop.trial == event.trial and stop.taken_up is None else stop
                    for stop in self.all
                ]

    @property
    def taken_up(self) -> list[Stop]:
        """Those after which the trial went on, in order."""
        return [stop for stop in self.all if stop.taken_up is not None]
