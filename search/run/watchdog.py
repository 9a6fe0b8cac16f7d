"""Ends the workers of trials that hang, so that Ray Tune, which waits for ever, sees them fail.

How long a trial may be silent is decided in `judge.silence`; what becomes of it then, as of any that failed, in
`recorder`.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray import tune
from ray.tune.experiment import Trial

from search.judge.silence import AttentiveClock, find_patience_seconds
from search.memory.journal import Journal
from search.run.recorder import Recorder

_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """When a trial was last heard of.

    Args:
        seconds: by the watchdog's clock.
        has_reported: whether its worker has reported an epoch.
    """

    seconds: float
    has_reported: bool


class Watchdog(tune.Callback):  # type: ignore[misc]
    """Kills workers of trials that say nothing for too long.

    Args:
        journal: what trials usually take.
        recorder: told that one hangs.
        hang_after_seconds: the shortest silence that counts; 0: none does.
        end_worker: kills a worker whose trial hangs, given its actor.
        clock: seconds that pass, whatever is done to the time of day.
    """

    def __init__(
        self,
        journal: Journal,
        recorder: Recorder,
        hang_after_seconds: float,
        end_worker: Callable[[Any], None] = ray.kill,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._recorder = recorder
        self._hang_after_seconds = hang_after_seconds
        self._end_worker = end_worker
        self._clock = AttentiveClock(clock)
        self._signs: dict[str, Sign] = {}
        self._hangs: Counter[int] = Counter()

    def on_step_begin(self, iteration: int, trials: list[Trial]) -> None:
        """End the workers that are silent for too long; Ray Tune calls this ten times a second, whatever happens."""
        if not self._hang_after_seconds or self._clock.unseen_seconds < _LOOK_SECONDS:
            return
        self._clock.look()
        live = [trial for trial in trials if trial.temporary_state.ray_actor is not None and not trial.is_finished()]
        # A worker that is given its next trial may hang before that one has started.
        heard = {trial.trial_id: Sign(seconds=self._clock.seconds, has_reported=False) for trial in live}
        self._signs = {name: self._signs.get(name, sign) for name, sign in heard.items()}
        for trial in live:
            self._look_at(trial)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Take a start for a sign of life."""
        self._signs[trial.trial_id] = Sign(seconds=self._clock.seconds, has_reported=False)

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any]) -> None:
        """Take a report for a sign of life."""
        self._signs[trial.trial_id] = Sign(seconds=self._clock.seconds, has_reported="epoch" in result)

    def _look_at(self, trial: Trial) -> None:
        number, sign = trial.config["trial"], self._signs[trial.trial_id]
        silent_seconds = self._clock.seconds - sign.seconds
        if silent_seconds <= self._hang_after_seconds:
            return
        patience_seconds = find_patience_seconds(
            self._journal.history,
            number,
            hang_after_seconds=self._hang_after_seconds,
            has_reported=sign.has_reported,
            hangs=self._hangs[number],
        )
        if silent_seconds <= patience_seconds:
            return
        self._hangs[number] += 1
        self._signs[trial.trial_id] = Sign(seconds=self._clock.seconds, has_reported=False)
        told = f"Trial {number} said nothing for {silent_seconds:.0f} s and is taken for hung: its worker is ended."
        self._recorder.tell_hung(number, told, "Where trials are only slow, give --hang-after a longer time.")
        self._end_worker(trial.temporary_state.ray_actor)
