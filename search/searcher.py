"""Proposes configurations: Optuna's ask and tell behind Ray Tune's `Searcher`.

`Proposer` holds the study, rebuilt from the journal on resume; the journal is the only memory. `TrialQueue` is its face
to Ray Tune. Checking a space lives in `proposals`.

Ray's own OptunaSearch tells a trial that ASHA stopped as complete, leaves one with NaN running for ever, and cannot
be resumed without its pickle.
"""

import math
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import optuna
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from search.journal import Outcome, TrialRecord
from segcore.errors import ConfigError

_STARTUP_TRIALS: Final = 10
_DRAWS: Final = 100
_CHANGED_SPACE: Final = (
    "The search space is not the one that this search began with; restore it, or launch a new search with this one"
)

_STATES: Final = {
    Outcome.FINISHED: TrialState.COMPLETE,
    Outcome.STOPPED: TrialState.PRUNED,
    Outcome.FAILED: TrialState.FAIL,
    Outcome.DIVERGED: TrialState.FAIL,
    Outcome.OUT_OF_MEMORY: TrialState.FAIL,
    Outcome.OVER_LIMIT: TrialState.FAIL,
}


class Proposer:
    """Draws configurations from a space with Optuna's TPE, and learns how they did.

    Args:
        draw: draws a configuration from a trial and returns its values; raises `ConfigError` for one that cannot be
            trained.
        seed: decides the draws.
        facts: what the space may know of the data.
    """

    def __init__(self, draw: Callable[[optuna.Trial], dict[str, Any]], *, seed: int, facts: dict[str, Any]) -> None:
        self._draw = draw
        self._seed = seed
        self._study = new_study(_new_sampler(seed, 0), facts)
        self._trials: dict[int, optuna.Trial] = {}
        self._observed: dict[int, set[int]] = defaultdict(set)

    def ask(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draw a configuration.

        Args:
            number: the trial's number; with the seed and the past it decides the draw.

        Returns:
            The configuration's values, and the parameters as Optuna knows them.

        Raises:
            ConfigError: when the space draws nothing that can be trained.
        """
        # A sampler of its own for each ask: a resumed search draws what the uninterrupted one would have.
        self._study.sampler = _new_sampler(self._seed, number)
        problem: ConfigError | None = None
        for _ in range(_DRAWS):
            draft = self._study.ask()
            try:
                values = self._draw(draft)
            except ConfigError as error:
                problem = error
                continue
            finally:
                self._study.tell(draft, state=TrialState.FAIL)
            self._trials[number] = self._enter(draft.params)
            return values, dict(draft.params)
        raise ConfigError(f"{_DRAWS} draws gave no configuration; the last: {problem}")

    def observe(self, number: int, epoch: int, score: float) -> None:
        """Learn a score that a trial reached after an epoch; NaN teaches nothing, a repeated epoch nothing new."""
        if math.isfinite(score) and epoch not in self._observed[number]:
            self._observed[number].add(epoch)
            self._trials[number].report(score, epoch)

    def close(self, number: int, outcome: Outcome, best_score: float | None) -> None:
        """Learn how a trial ended.

        Args:
            number: the trial's number.
            outcome: finished trials count with their best score, stopped ones with the scores they reached.
            best_score: highest score, None when there was none.
        """
        state = _STATES[outcome]
        if best_score is None:
            state = TrialState.FAIL
        value = best_score if state is TrialState.COMPLETE else None
        self._study.tell(self._trials[number], value, state=state)

    def replay(self, record: TrialRecord) -> None:
        """Take over a trial of the journal as if it had been asked and observed here.

        Raises:
            ConfigError: when the space changed since the trial was drawn.
        """
        try:
            trial = self._enter(record.params)
        # A space is a user's code: whatever it raises on a draw that was its own once, it is another space now.
        except Exception as error:
            raise ConfigError(f"{_CHANGED_SPACE} ({type(error).__name__}: {error}).") from error
        if trial.params != record.params:
            raise ConfigError(f"{_CHANGED_SPACE} (trial {record.number} had {record.params}, now {trial.params}).")
        self._trials[record.number] = trial
        for epoch, report in sorted(record.epochs.items()):
            self.observe(record.number, epoch, report.iou)
        if record.outcome is not None:
            self.close(record.number, record.outcome, record.best.iou if record.best else None)

    @property
    def trials(self) -> list[FrozenTrial]:
        """What Optuna knows of the trials, in the order of asking."""
        entered = {trial.number for trial in self._trials.values()}
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.number in entered]

    def _enter(self, params: dict[str, Any]) -> optuna.Trial:
        # TPE notes in a trial that it draws more than the trial's branch of the space uses, and looks at that while the
        # trial runs. A journal has no such notes, so a trial enters with its parameters alone, asked or replayed.
        self._study.sampler = optuna.samplers.RandomSampler()
        self._study.enqueue_trial(params)
        trial = self._study.ask()
        self._draw(trial)
        return trial


def new_study(sampler: optuna.samplers.BaseSampler, facts: dict[str, Any]) -> optuna.Study:
    """Return an empty study in memory that maximises and knows the facts of the data."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for name, value in facts.items():
        study.set_user_attr(name, value)
    return study


class TrialQueue(Searcher):  # type: ignore[misc]
    """Hands trials to Ray Tune, no more at a time than allowed.

    Args:
        next_trial: returns the next trial's Ray configuration, or None when there is none left.
        max_concurrent: most trials at a time.
    """

    def __init__(self, next_trial: Callable[[], dict[str, Any] | None], max_concurrent: int) -> None:
        super().__init__(metric="iou", mode="max")
        self._next_trial = next_trial
        self._max_concurrent = max_concurrent
        self._live: set[str] = set()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial, None to be asked again later, or FINISHED."""
        if len(self._live) >= self._max_concurrent:
            return None
        config = self._next_trial()
        if config is None:
            return str(Searcher.FINISHED)
        self._live.add(trial_id)
        return config

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Make room for the next trial; what the trial reached is told by `recorder`."""
        self._live.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to do: the journal is the memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to do: the journal is the memory."""


def _new_sampler(seed: int, number: int) -> optuna.samplers.TPESampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=(seed * 1_000_003 + number) % 2**32,
            n_startup_trials=_STARTUP_TRIALS,
            multivariate=True,
            group=True,
            constant_liar=True,
        )
