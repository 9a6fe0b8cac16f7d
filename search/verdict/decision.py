"""What the race of a search's best configurations says, as data; how it is decided lives in `race`."""

import math
from dataclasses import dataclass
from statistics import mean

from search.verdict.comparison import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """How a configuration stands after its trainings on further folds.

    Args:
        trial: the search's trial.
        search_score: its score in the search.
        fold_scores: its score in each round: on each further fold, or with each further seed, see `rounds`.
        interval: of its mean score, over images.
        difference: to the winner, over folds; None where it cannot be told, and for the winner.
        image_difference: to the winner, over images; None likewise.
        dismissed: why it was not trained on; empty while it stays.
        doubt: why it stays and yet is not the winner: what keeps the two from being told apart; else empty.
    """

    trial: int
    search_score: float
    fold_scores: dict[int, float]
    interval: Interval | None = None
    difference: Interval | None = None
    image_difference: Interval | None = None
    dismissed: str = ""
    doubt: str = ""

    @property
    def score(self) -> float:
        """Mean score over its rounds; NaN without one."""
        return mean(self.fold_scores.values()) if self.fold_scores else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the trainings on further folds say.

    Args:
        contenders: every configuration; those that stay first, the best first.
        folds: rounds that were taken into account.
        pending: (trial, round) of the trainings that are still to be run; empty when nothing is.
        epochs: what to retrain the winner for; None without a winner.
        choice_bias: see `comparison.estimate_choice_bias`; None where nothing says how large it is.
    """

    contenders: tuple[Contender, ...]
    folds: tuple[int, ...] = ()
    pending: tuple[tuple[int, int], ...] = ()
    epochs: int | None = None
    choice_bias: float | None = None

    @property
    def winner(self) -> Contender | None:
        """The best of those that stay; None before a round is complete, or when every configuration failed."""
        first = self.contenders[0] if self.contenders and self.folds else None
        return first if first is not None and not first.dismissed else None

    @property
    def rivals(self) -> list[Contender]:
        """Configurations that cannot be told from the winner."""
        return [contender for contender in self.contenders[1:] if not contender.dismissed]

    @property
    def scored(self) -> int:
        """Of how many configurations with a score on further folds the winner is the best."""
        return sum(bool(contender.fold_scores) for contender in self.contenders)

    @property
    def optimism(self) -> float:
        """By how much the winner's score in the search is above its mean on further folds.

        Chance that favoured the winner in the search, but also that fold's being easier or harder than the others.
        """
        return self.winner.search_score - self.winner.score if self.winner else math.nan


def explain_doubt(
    over_folds: Interval | None, over_images: Interval | None, alone: Interval | None, comparisons: int
) -> str:
    """Say what keeps a configuration from being told from the winner.

    Args:
        over_folds: its difference to the winner.
        over_images: the same over images.
        alone: the same over folds, were it the only comparison.
        comparisons: that are made.
    """
    behind = over_images is not None and over_images.high < 0
    if over_folds is not None and alone is not None and alone.high < 0 <= over_folds.high:
        return f"it would be behind were it the only comparison, but of {comparisons} one may look so by chance"
    if behind and over_folds is None:
        return "behind on these images, but another training or fold may turn that, and one fold does not say how far"
    if behind:
        return "behind on these images, but over so few folds the difference may be chance"
    return "the difference may be 0" if over_folds is not None or over_images is not None else "too few scores"
