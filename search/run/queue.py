"""Hands trials to Ray Tune, no more at a time than the cluster holds; which ones is decided in `loop`."""

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher


class TrialQueue(Searcher):  # type: ignore[misc]
    """Hands trials to Ray Tune, no more at a time than allowed.

    Args:
        next_trial: returns the next trial's Ray configuration, or None when there is none before another ends.
        count_concurrent: most trials at a time; asked each time, since nodes join and leave.
        is_given_up: says whether to wait no longer for nodes; Ray Tune itself asks on for ever.
    """

    def __init__(
        self,
        next_trial: Callable[[], dict[str, Any] | None],
        count_concurrent: Callable[[], int],
        is_given_up: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self._next_trial = next_trial
        self._count_concurrent = count_concurrent
        self._is_given_up = is_given_up
        self._live: set[str] = set()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial, None to be asked again later, or FINISHED."""
        if len(self._live) >= self._count_concurrent():
            return str(Searcher.FINISHED) if self._is_given_up() else None
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
