"""Proposes configurations: at random first, guided by a model later; built from a search's events alone.

What the model advises is chosen in `advisor`; drawing from a space lives in `search.space.draw`. All that is known here
follows from the journal, so a search that goes on proposes what an uninterrupted one would have.

Ray's own OptunaSearch tells a trial that ASHA stopped as complete, leaves one with NaN running for ever, and cannot
be resumed without its pickle.
"""

import contextlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from optuna.distributions import BaseDistribution
from threadpoolctl import ThreadpoolController

from search.memory.events import Asked, Ended, Epoch, Event, Reopened
from search.memory.outcome import Outcome
from search.propose.advisor import Advisor
from search.propose.encoding import Floats, widen
from search.propose.standing import first_landmark
from search.space.draw import Draw, Params
from segcore.errors import ConfigError

_BLAS: Final = ThreadpoolController()
_STARTUP_TRIALS: Final = 12
_STARTUP_LANDED: Final = 8
"""As many of them must have got to the first landmark, since a first epoch says too little about the end."""
_RANDOM_SHARE: Final = 0.25
_CROWDED_LANDMARKS: Final = 2
"""So many first landmarks a proposal trains before it is judged, where proposals are alike."""
_POOL: Final = 200
_DRAWS: Final = 100
_NEW_DRAWS: Final = 20
"""Draws that must give a configuration that was not tried yet; later ones may repeat one, as a small space has to."""

DrawFunction = Callable[[Params, int], Draw]
"""Draws a configuration that keeps given parameters, where the space allows them, and is random by a seed elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What is to be tried next.

    Args:
        values: of the configuration.
        params: the parameters that were drawn for it.
        ahead: what the model advised beside it, for the trials after it; belongs in the journal.
        first_rung: finished epochs before which it is not to be judged; 0: judged as all are.
    """

    values: dict[str, Any]
    params: dict[str, Any]
    ahead: list[dict[str, Any]] = field(default_factory=list)
    first_rung: int = 0


@dataclass(slots=True, kw_only=True)
class _Known:
    """What is known of a trial.

    Args:
        params: its parameters.
        curve: scores by epoch, from the first.
        outcome: how it ended, or None.
        codes: its parameters as the model takes them, once it has been asked.
        latency_ms: milliseconds of a prediction, infinite where it is not known.
        text: its parameters as JSON.
    """

    params: dict[str, Any]
    text: str
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

    def observe(self, epoch: int, score: float) -> None:
        """Learn the score of an epoch; one that is trained again counts as it was trained last.

        Args:
            epoch: finished epochs.
            score: higher is better; NaN teaches nothing.
        """
        del self.curve[epoch - 1 :]
        if math.isfinite(score):
            # An epoch without a score counts with the score before it, the first with the one after.
            missing = epoch - len(self.curve) - 1
            self.curve += [self.curve[-1] if self.curve else score] * missing + [score]


class Proposer:
    """Draws configurations from a space and learns how they did.

    Args:
        draw: draws a configuration; raises `ConfigError` for one that cannot be trained.
        seed: with a trial's number and the events before it, decides what is proposed.
        epochs: of a whole training.
        metric: what decides, see `segcore.scoring.objective`.
        weighs_latency: whether what is fast and good is sought, see `search.judge.pareto`; else what is good.
    """

    def __init__(
        self, draw: DrawFunction, *, seed: int, epochs: int, metric: str, weighs_latency: bool = False
    ) -> None:
        self._draw = draw
        self._metric = metric
        self._weighs_latency = weighs_latency
        self._epochs = epochs
        self._landmark = first_landmark(epochs)
        self._seed = seed
        self._known: dict[int, _Known] = {}
        self._tried: Counter[str] = Counter()
        self._advisor: Advisor | None = None
        self._ahead: list[dict[str, Any]] = []

    def apply(self, event: Event) -> None:
        """Take one event into account; trials that the space could not have drawn teach nothing."""
        match event:
            case Asked():
                self._begin(event)
            case Epoch() if known := self._known.get(event.trial):
                known.observe(event.epoch, event.metrics.get(self._metric, math.nan))
                known.latency_ms = event.metrics.get("latency_ms", known.latency_ms)
            case Ended() if known := self._known.get(event.trial):
                known.outcome = event.outcome
            case Reopened() if known := self._known.get(event.trial):
                known.outcome = None

    def _begin(self, event: Asked) -> None:
        if former := self._known.pop(event.trial, None):
            self._tried[former.text] -= 1
        if event.drawable:
            text = _encode_text(event.params)
            self._known[event.trial] = _Known(params=event.params, text=text)
            self._tried[text] += 1
            self._ahead = list(event.ahead)

    def ask(self, number: int) -> Proposal:
        """Propose a configuration; nothing changes until its `Asked` event is applied.

        Args:
            number: the trial's number.

        Raises:
            ConfigError: when the space draws nothing that can be trained.
        """
        guided, ahead = self._is_guided(number), list(self._ahead)
        if guided and not ahead:
            ahead = self._propose(number)
        problem: ConfigError | None = None
        for attempt in range(_DRAWS):
            given = ahead.pop(0) if guided and ahead else {}
            try:
                # A seed of its own for each draw: it depends on nothing that a search that goes on has lost.
                found = self._draw(given, self._seed_of(number, attempt))
                _require_kept(given, found.params)
            except ConfigError as error:
                problem = error
                continue
            if attempt >= _NEW_DRAWS or not self._tried[_encode_text(found.params)]:
                first_rung = self._find_first_rung() if given else 0
                return Proposal(values=found.values, params=found.params, ahead=ahead, first_rung=first_rung)
        raise ConfigError(f"{_DRAWS} draws gave no configuration; the last: {problem}")

    def _find_first_rung(self) -> int:
        """Return from which epoch on a proposal of the model is judged: late where it is like those before it."""
        advisor = self._find_advisor()
        crowded = advisor is not None and advisor.is_crowded(len(self._known))
        return _CROWDED_LANDMARKS * self._landmark if crowded else 0

    def _is_guided(self, number: int) -> bool:
        """Say whether the model is asked: not while it knows little, and now and then not."""
        if not self._has_as_many(_STARTUP_TRIALS, epochs=1):
            return False
        if not self._has_as_many(_STARTUP_LANDED, epochs=self._landmark):
            return False
        return bool(np.random.default_rng([self._seed, number]).random() >= _RANDOM_SHARE)

    def _has_as_many(self, trials: int, epochs: int) -> bool:
        """Say whether at least so many trials have at least so many epochs; counts no more of them than it must."""
        found = (True for known in self._known.values() if len(known.curve) >= epochs)
        return sum(itertools.islice(found, trials)) == trials

    def _propose(self, number: int) -> list[dict[str, Any]]:
        """Return what the model advises, the best first."""
        known = [self._known[key] for key in sorted(self._known)]
        judged = [(each, counted) for each in known if (counted := each.counted) is not None]
        random = np.random.default_rng([self._seed, number, 1])
        advisor = self._find_advisor()
        if advisor is None:
            return []

        def encode(trial: _Known) -> Floats:
            if trial.codes is None:
                trial.codes = advisor.encode(trial.params)
            return trial.codes

        pending = [encode(each) for each in known if not each.curve and each.outcome is None]
        codes = [encode(each) for each, _ in judged]
        latencies = [each.latency_ms for each, _ in judged] if self._weighs_latency else None
        # Matrices so small gain nothing from threads, and lose tenfold where trainings keep the cores busy.
        with _BLAS.limit(limits=1, user_api="blas"):
            return advisor.advise(codes, [curve for _, curve in judged], pending, random, latencies)

    def _find_advisor(self) -> Advisor | None:
        """Return the model; drawing from the space to get to know it takes a while, so it is built once."""
        if self._advisor is None:
            self._advisor = self._build_advisor()
        return self._advisor

    def _build_advisor(self) -> Advisor | None:
        """Return a model that knows the space by its draws; None when it draws no parameter, or nothing to train."""
        pool: list[dict[str, Any]] = []
        distributions: dict[str, BaseDistribution] = {}
        for attempt in range(_POOL):
            with contextlib.suppress(ConfigError):
                found = self._draw({}, int(np.random.SeedSequence([self._seed, attempt]).generate_state(1)[0]))
                pool.append(found.params)
                for name, drawn in found.distributions.items():
                    distributions[name] = widen(distributions.get(name, drawn), drawn)
        # What is always the same is no dimension of the space: it would make trials look further apart than they are.
        drawn_alone = {name: each for name, each in distributions.items() if not each.single()}
        return Advisor(drawn_alone, pool, self._epochs) if drawn_alone else None

    def _seed_of(self, number: int, attempt: int) -> int:
        return int(np.random.SeedSequence([self._seed, number, attempt]).generate_state(1)[0])


def _encode_text(params: Params) -> str:
    return json.dumps(params, sort_keys=True)


def _require_kept(given: Params, params: Params) -> None:
    # Where ranges depend on each other, the space may not allow what was proposed for it as a whole.
    for name in given.keys() & params.keys():
        if params[name] != given[name]:
            raise ConfigError(f"{name}={given[name]!r} is not what the space can draw beside the others.")
