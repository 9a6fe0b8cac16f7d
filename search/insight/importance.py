"""What mattered in a search: the share of its trials' ranks that each hyperparameter explains.

Follows from the journal alone; the table for a person is in `commands`.
"""

import math
import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from search.memory.history import History, TrialRecord
from search.memory.outcome import Outcome
from search.propose.standing import rank_standings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FEWEST_TRIALS: Final = 12
"""Below so many trials nothing is said of importance."""
CHANCE: Final = "(chance)"
_RESAMPLES: Final = 10
_RESAMPLED_TRIALS: Final = 150
"""With fewer, what means nothing reaches as far as what matters; with more, it takes longer than anyone waits."""
_TREES: Final = 16
_FEW_VALUES: Final = 4
_DECADE: Final = 10
_FARTHEST: Final = 3e38
"""A forest's numbers have 32 bits."""
_LOST: Final = (Outcome.DIVERGED, Outcome.OUT_OF_MEMORY)
"""Ends that a configuration brings about; it stands below all others, whatever its scores were."""
_GOT_SOMEWHERE: Final = (Outcome.FINISHED, Outcome.STOPPED, Outcome.PRUNED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """The share of the standings' variance that a choice explains.

    Args:
        name: of the choice; `CHANCE` is a number drawn for each trial that means nothing.
        share: median over resamples of the trials, 0 to 1.
        low: lowest of the resamples.
        high: highest of the resamples.
    """

    name: str
    share: float
    low: float
    high: float


def measure_importance(history: History, epochs: int) -> list[Importance]:
    """Return how much each hyperparameter explains of how the trials rank, the most first.

    Explained is the standing (see `propose.standing`: who got further first, then who scored higher there), not the
    score after an epoch that all reached, which says what starts fast. Functional ANOVA over a forest (Hutter et al.,
    An Efficient Approach for Assessing Hyperparameter Importance, 2014), on resamples of the trials, so that each share
    has its uncertainty.

    A random number, drawn for each trial, shows what so few trials make of nothing (the shadow of Kursa and Rudnicki,
    Feature Selection with the Boruta Package, 2010). A hyperparameter whose range reaches into that of the random
    number is not shown to matter.

    Hyperparameters that only some trials have, and those with one value, are left out. So are trials that have not
    ended, whose worker failed, or that are over a limit, since how far they could have got is not known.

    Args:
        history: the search's trials.
        epochs: of a whole training.

    Returns:
        Nothing below `FEWEST_TRIALS` trials, or when they all rank alike.
    """
    trials, curves = read_known(history)
    if len(trials) < FEWEST_TRIALS:
        return []
    standings = tuple(float(standing) for standing in rank_standings(curves, epochs))
    names = sorted(set.intersection(*(set(trial.params) for trial in trials)))
    drawn = tuple(tuple((name, _scalar(trial.params[name])) for name in names) for trial in trials)
    return list(_share_out(drawn, standings))


# Every stage's page and report asks for the same again, which takes seconds.
@lru_cache(maxsize=1)
def _share_out(drawn: tuple[tuple[tuple[str, Any], ...], ...], standings: tuple[float, ...]) -> tuple[Importance, ...]:
    """Return the importances, the most first, of what each trial drew by name and how it stands."""
    points = [dict(choices) for choices in drawn]
    distributions = {name: _distribution([point[name] for point in points]) for name in points[0]}
    distributions = {name: found for name, found in distributions.items() if not found.single()}
    draw, pairs = random.Random(0), list(zip(points, standings, strict=True))
    resamples = [_explain(draw, pairs, distributions) for _ in range(_RESAMPLES)] if distributions else []
    shares = [resample for resample in resamples if resample]
    found = [_summarise(name, [each[name] for each in shares]) for name in (*distributions, CHANCE)] if shares else []
    return tuple(sorted(found, key=lambda importance: -importance.share))


def read_known(history: History) -> tuple[list[TrialRecord], list[list[float]]]:
    """Return the trials of which it is known how far they get, and their scores by epoch; empty for a lost one."""
    trials, curves = [], []
    for trial in history.in_order:
        curve = [] if trial.outcome in _LOST else _read_curve(trial)
        if trial.drawable and (trial.outcome in _LOST or (trial.outcome in _GOT_SOMEWHERE and curve)):
            trials.append(trial)
            curves.append(curve)
    return trials, curves


def _read_curve(trial: TrialRecord) -> list[float]:
    """Return the scores from the first epoch on; an epoch without one has that before it, the first the one after."""
    known = {epoch: record.score for epoch, record in trial.epochs.items() if math.isfinite(record.score)}
    curve: list[float] = []
    for epoch in sorted(known):
        curve += [curve[-1] if curve else known[epoch]] * (epoch - len(curve) - 1) + [known[epoch]]
    return curve


def _explain(
    draw: random.Random,
    pairs: Sequence[tuple[dict[str, Any], float]],
    distributions: "dict[str, BaseDistribution]",
) -> dict[str, float]:
    """Return the share of each hyperparameter on a resample of points and standings; empty when these are all alike."""
    # These take a second to import, and few commands come here.
    import optuna
    from optuna.distributions import FloatDistribution
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    everything = {**distributions, CHANCE: FloatDistribution(0.0, 1.0)}
    # Of each trial once: a trial that comes twice has the same number again, as it has all else.
    chances = [draw.random() for _ in pairs]
    for number in draw.choices(range(len(pairs)), k=min(len(pairs), _RESAMPLED_TRIALS)):
        point, standing = pairs[number]
        params = {**{name: point[name] for name in distributions}, CHANCE: chances[number]}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=everything, value=standing))
    evaluator = FanovaImportanceEvaluator(n_trees=_TREES, seed=draw.randrange(2**31))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = get_param_importances(study, evaluator=evaluator, params=list(everything))
        except RuntimeError:
            # So it refuses a forest whose trees are all a single leaf.
            return {}
    return {name: float(share) for name, share in found.items()}


def _summarise(name: str, shares: Sequence[float]) -> Importance:
    return Importance(name=name, share=median(shares), low=min(shares), high=max(shares))


def _scalar(value: Any) -> Any:
    """Return a choice as Optuna and its forest take it; a list, as JSON holds a tuple, becomes its text."""
    if isinstance(value, int | float) and abs(value) > _FARTHEST:
        return math.copysign(_FARTHEST, value)
    return value if isinstance(value, int | float | str | None) else str(value)


def _distribution(values: Sequence[Any]) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numbers or len(set(values)) <= _FEW_VALUES:
        return CategoricalDistribution(sorted(set(values), key=str))
    low, high = float(min(values)), float(max(values))
    return FloatDistribution(low, high, log=low > 0 and high / low >= _DECADE)
