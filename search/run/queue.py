"""Hands trials to Ray Tune, no more at a time than the cluster holds; which ones is decided in `loop`."""

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from search.run.trial_job import Assignment


class TrialQueue(Searcher):  # type: ignore[misc]
    """Hands trials to Ray Tune, no more at a time than allowed.

    Args:
        next_trial: returns the next trial, or None when there is none before another ends.
        count_concurrent: most trials at a time; asked each time, since nodes join and leave.
    """

    def __init__(
        self,
        next_trial: Callable[[], Assignment | None],
        count_concurrent: Callable[[], int],
    ) -> None:
        super().__init__()
        self._next_trial = next_trial
        self._count_concurrent = count_concurrent
        self._live: set[str] = set()
        self.is_stranded = False
        """Whether the run ended for want of a node, not of trials."""

    def suggest(self, trial_id: str) -> Assignment | str | None:
        """Return the next trial, None to be asked again later, or FINISHED."""
        room = self._count_concurrent()
        if room == 0 and not self._live:
            # Ray Tune would ask on for ten minutes, deaf to Ctrl-C meanwhile; `tuning` waits better.
            self.is_stranded = True
            return str(Searcher.FINISHED)
        if len(self._live) >= room:
            return None
        config = self._next_trial()
        if config is None:
            # A trial that ends may let another go on that waits.
            return None if self._live else str(Searcher.FINISHED)
        self._live.add(trial_id)
        return config

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Make room for the next trial; what the trial reached is told by `recorder`."""
        self._live.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to do: the journal is the memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to do: the journal is the memory."""
