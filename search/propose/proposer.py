"""Proposes configurations: Optuna's ask and tell behind Ray Tune's `Searcher`.

`Proposer` holds the study, rebuilt from the journal on resume; the journal is the only memory. `TrialQueue` is its face
to Ray Tune. What is proposed is chosen in `advisor`; checking a space lives in `proposals`.

Ray's own OptunaSearch tells a trial that ASHA stopped as complete, leaves one with NaN running for ever, and cannot
be resumed without its pickle.
"""

import contextlib
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from search.memory.history import Outcome, TrialRecord
from search.propose.advisor import Advisor
from search.propose.encoding import Floats, widen
from search.propose.standing import first_landmark
from search.space.draw import new_study
from segcore.errors import ConfigError

_STARTUP_TRIALS: Final = 12
_STARTUP_LANDED: Final = 8
"""Of them so many have got to the first landmark: what starts fast teaches a model too little of the rest."""
_RANDOM_SHARE: Final = 0.25
_POOL: Final = 200
_DRAWS: Final = 100
_NEW_DRAWS: Final = 20
"""So many draws look for a configuration that was not tried yet; a small space may have none left."""
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


@dataclass(slots=True, kw_only=True)
class _Known:
    """What is known of a trial.

    Args:
        trial: what Optuna knows.
        params: its parameters; Optuna copies them deeply each time they are asked for.
        curve: scores by epoch, from the first.
        outcome: how it ended, or None.
        codes: its parameters as the model takes them, once it has been asked.
        latency_ms: milliseconds of a prediction, infinite where it is not known.
    """

    trial: optuna.Trial
    params: dict[str, Any]
    curve: list[float] = field(default_factory=list)
    outcome: Outcome | None = None
    codes: Floats | None = None
    latency_ms: float = math.inf

    @property
    def counted(self) -> list[float] | None:
        """The curve that the model learns from: None when nothing is known yet, empty for what loses against all.

        That is a configuration that cannot be trained, and any that ended without a score, a worker's failure too: the
        configuration may be its cause, and would be proposed again and again.
        """
        if self.outcome in (Outcome.DIVERGED, Outcome.OUT_OF_MEMORY, Outcome.OVER_LIMIT):
            return []
        return self.curve if self.curve or self.outcome is not None else None


class Proposer:
    """Draws configurations from a space, at random first and guided by a model later, and learns how they did.

    Args:
        draw: draws a configuration from a trial and returns its values; raises `ConfigError` for one that cannot be
            trained.
        seed: decides the draws.
        facts: what the space may know of the data.
        epochs: of a whole training.
        weighs_latency: whether what is fast and good is sought, see `pareto`; else what is good.
    """

    def __init__(
        self,
        draw: Callable[[optuna.Trial], dict[str, Any]],
        *,
        seed: int,
        facts: dict[str, Any],
        epochs: int,
        weighs_latency: bool = False,
    ) -> None:
        self._draw = draw
        self._weighs_latency = weighs_latency
        self._epochs = epochs
        self._seed = seed
        self._facts = facts
        self._study = new_study(optuna.samplers.RandomSampler(), facts)
        self._known: dict[int, _Known] = {}
        self._advisor: Advisor | None = None
        self.ahead: list[dict[str, Any]] = []

    def ask(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draw a configuration.

        Args:
            number: the trial's number; with the seed and the past it decides the draw.

        What the model advised beside it is kept in `ahead` for the trials after it, and belongs into the journal.

        Returns:
            The configuration's values, and the parameters as Optuna knows them.

        Raises:
            ConfigError: when the space draws nothing that can be trained.
        """
        guided = self._is_guided(number)
        if guided and not self.ahead:
            self.ahead = self._propose(number)
        tried = [known.params for known in self._known.values()]
        problem: ConfigError | None = None
        for attempt in range(_DRAWS):
            # A generator of its own for each draw: a resumed search draws what the uninterrupted one would have.
            self._study.sampler = optuna.samplers.RandomSampler(seed=self._seed_of(number, attempt))
            try:
                trial, values = self._enter(self.ahead.pop(0) if guided and self.ahead else {})
            except ConfigError as error:
                problem = error
                continue
            params = dict(trial.params)
            if attempt < _NEW_DRAWS and params in tried:
                self._study.tell(trial, state=TrialState.FAIL)
                continue
            self._known[number] = _Known(trial=trial, params=params)
            return values, dict(params)
        raise ConfigError(f"{_DRAWS} draws gave no configuration; the last: {problem}")

    def weigh(self, number: int, latency_ms: float) -> None:
        """Learn how long a prediction of a trial takes."""
        self._known[number].latency_ms = latency_ms

    def observe(self, number: int, epoch: int, score: float) -> None:
        """Learn a score that a trial reached after an epoch; NaN teaches nothing, a repeated epoch nothing new."""
        known = self._known[number]
        if not math.isfinite(score) or epoch <= len(known.curve):
            return
        # An epoch without a score counts with the score before it, the first with the one after.
        known.curve += [known.curve[-1] if known.curve else score] * (epoch - len(known.curve) - 1) + [score]
        known.trial.report(score, epoch)

    def close(self, number: int, outcome: Outcome, best_score: float | None) -> None:
        """Learn how a trial ended.

        Args:
            number: the trial's number.
            outcome: trials count with the scores they reached, one whose worker failed, too; those that diverged, did
                not fit into memory, are over a limit or have no score lose against all others.
            best_score: highest score, None when there was none.
        """
        known = self._known[number]
        known.outcome = outcome
        state = _STATES[outcome]
        if best_score is None:
            state = TrialState.FAIL
        value = best_score if state is TrialState.COMPLETE else None
        self._study.tell(known.trial, value, state=state)

    def reopen(self, number: int) -> None:
        """Learn that a trial that ASHA had stopped goes on."""
        known = self._known[number]
        # Optuna takes no more reports of a trial that has ended.
        trial, _ = self._enter(known.params)
        for epoch, score in enumerate(known.curve, start=1):
            trial.report(score, epoch)
        known.trial, known.outcome = trial, None

    def replay(self, record: TrialRecord) -> None:
        """Take over a trial of the journal as if it had been asked and observed here.

        Raises:
            ConfigError: when the space changed since the trial was drawn.
        """
        try:
            trial, _ = self._enter(record.params)
        # A space is a user's code: whatever it raises on a draw that was its own once, it is another space now.
        except Exception as error:
            raise ConfigError(f"{_CHANGED_SPACE} ({type(error).__name__}: {error}).") from error
        if trial.params != record.params:
            raise ConfigError(f"{_CHANGED_SPACE} (trial {record.number} had {record.params}, now {trial.params}).")
        self._known[record.number] = _Known(trial=trial, params=record.params)
        self.ahead = list(record.ahead)
        if record.latency_ms is not None:
            self.weigh(record.number, record.latency_ms)
        for epoch, report in sorted(record.epochs.items()):
            self.observe(record.number, epoch, report.iou)
        if record.outcome is not None:
            self.close(record.number, record.outcome, record.best.iou if record.best else None)

    @property
    def trials(self) -> list[FrozenTrial]:
        """What Optuna knows of the trials, by number."""
        entered = self._study.get_trials(deepcopy=False)
        return [entered[known.trial.number] for _, known in sorted(self._known.items())]

    def _is_guided(self, number: int) -> bool:
        """Say whether the model is asked: not while it knows little, and now and then not."""
        lengths = [len(known.curve) for known in self._known.values() if known.curve]
        landed = sum(length >= first_landmark(self._epochs) for length in lengths)
        knows_enough = len(lengths) >= _STARTUP_TRIALS and landed >= _STARTUP_LANDED
        return knows_enough and np.random.default_rng([self._seed, number]).random() >= _RANDOM_SHARE

    def _propose(self, number: int) -> list[dict[str, Any]]:
        """Return what the model advises, the best first."""
        known = [self._known[key] for key in sorted(self._known)]
        judged = [(each, counted) for each in known if (counted := each.counted) is not None]
        random = np.random.default_rng([self._seed, number, 1])
        advisor = self._advisor = self._advisor or self._get_to_know_space()
        if advisor is None:
            return []

        def encode(trial: _Known) -> Floats:
            if trial.codes is None:
                trial.codes = advisor.encode(trial.params)
            return trial.codes

        pending = [encode(each) for each in known if not each.curve and each.outcome is None]
        codes = [encode(each) for each, _ in judged]
        latencies = [each.latency_ms for each, _ in judged] if self._weighs_latency else None
        return advisor.advise(codes, [curve for _, curve in judged], pending, random, latencies)

    def _get_to_know_space(self) -> Advisor | None:
        """Draw from the space; None when it has no parameter, or draws nothing that can be trained."""
        study = new_study(optuna.samplers.RandomSampler(seed=self._seed), self._facts)
        pool: list[dict[str, Any]] = []
        distributions: dict[str, BaseDistribution] = {}
        for _ in range(_POOL):
            trial = study.ask()
            with contextlib.suppress(ConfigError):
                self._draw(trial)
                pool.append(trial.params)
                for name, drawn in trial.distributions.items():
                    distributions[name] = widen(distributions.get(name, drawn), drawn)
        return Advisor(distributions, pool, self._epochs) if distributions else None

    def _seed_of(self, number: int, attempt: int) -> int:
        return int(np.random.SeedSequence([self._seed, number, attempt]).generate_state(1)[0])

    def _enter(self, params: dict[str, Any]) -> tuple[optuna.Trial, dict[str, Any]]:
        """Draw a trial that keeps the given parameters, and return it with the configuration's values."""
        self._study.enqueue_trial(params)
        trial = self._study.ask()
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Fixed parameter .* is out of range")
                values = self._draw(trial)
            _require_drawable(trial)
            return trial, values
        except Exception:
            self._study.tell(trial, state=TrialState.FAIL)
            raise


def _require_drawable(trial: optuna.Trial) -> None:
    # Where ranges depend on each other, Optuna takes a proposed value that is outside of one with a mere warning.
    params = trial.params
    for name, distribution in trial.distributions.items():
        if not distribution._contains(distribution.to_internal_repr(params[name])):
            raise ConfigError(f"{name}={params[name]!r} is not in {distribution}; propose what the space can draw.")
