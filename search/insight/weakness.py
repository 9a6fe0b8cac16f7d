"""Where the winner fails: its scores by condition and by class, on the most images that were not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from search.insight.record import Record
from search.memory.history import EpochRecord, TrialRecord
from search.memory.outcome import Outcome
from segcore.counting import count_words
from segcore.scoring.objective import CLASS_PREFIX, CONDITION_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class PartScore:
    """A score on a part of the images or pixels.

    Args:
        name: of the condition or class.
        score: its IoU; over all trainings together where that is known, else their mean.
        low: lowest of the trainings.
        high: highest of them.
    """

    name: str
    score: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakness:
    """How the winner fares, the worst first.

    Args:
        conditions: such as night; empty where the data names none.
        classes: with a score.
        trainings: that were scored, each on other images or with another seed.
        behind: of how many of them the worst condition is behind the best.
        where: on what they were scored, in words.
    """

    conditions: tuple[PartScore, ...]
    classes: tuple[PartScore, ...]
    trainings: int
    behind: int
    where: str


def find_weakness(record: Record) -> Weakness | None:
    """Return how the winner fares: in its retraining, else its confirmation, else its best epoch in the search.

    Returns:
        None before there is a winner.
    """
    if record.best is None:
        return None
    winner = record.best.trial
    closed = record.winner_retraining
    retrained = _read_last(record.winner_trainings)
    confirmed = _read_last([each for each in record.confirmation.in_order if each.source == winner])
    best = record.history.trials[winner].best
    if closed is not None and retrained:
        unseen = ", each image by a network that had not seen it" if record.settings.folds > 1 else ""
        over = count_words(len(retrained), "fold" if record.settings.folds > 1 else "seed")
        return _compare(retrained, f"in the retraining, over {over}{unseen}", closed.metrics)
    if record.confirmed is not None and confirmed:
        return _compare(confirmed, f"in the confirmation, in {count_words(len(confirmed), 'training')} of the winner")
    return _compare([best], "on the search's own fold, at the winner's best epoch") if best is not None else None


def _read_last(trainings: Sequence[TrialRecord]) -> list[EpochRecord]:
    return [each.epochs[each.last_epoch] for each in trainings if each.epochs and each.outcome is Outcome.FINISHED]


def _compare(scored: Sequence[EpochRecord], where: str, pooled: dict[str, float] | None = None) -> Weakness:
    conditions, classes = (_list_parts(scored, prefix, pooled or {}) for prefix in (CONDITION_PREFIX, CLASS_PREFIX))
    worst, best = (conditions[0].name, conditions[-1].name) if conditions else ("", "")
    pairs = [(each.metrics.get(CONDITION_PREFIX + worst), each.metrics.get(CONDITION_PREFIX + best)) for each in scored]
    behind = sum(low < high for low, high in pairs if low is not None and high is not None)
    return Weakness(conditions=conditions, classes=classes, trainings=len(scored), behind=behind, where=where)


def _list_parts(scored: Sequence[EpochRecord], prefix: str, pooled: dict[str, float]) -> tuple[PartScore, ...]:
    names = {name for each in scored for name in each.metrics if name.startswith(prefix)}
    parts = []
    for name in names:
        found = [each.metrics[name] for each in scored if name in each.metrics]
        score = pooled.get(name, mean(found))
        parts.append(PartScore(name=name.removeprefix(prefix), score=score, low=min(found), high=max(found)))
    return tuple(sorted(parts, key=lambda part: (part.score, part.name)))
