"""The race of a search's best configurations over further folds, decided from records alone.

A search takes the best of many scores on one fold, so its winner's score flatters and its winner may be luck. Here
stands who is trained on the next fold, who wins, and who cannot be told from the winner. The statistics live in
`comparison`, the trainings in `confirm`, what `best.json` holds of it in `selection`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Final

from search.memory.history import EpochRecord, History, TrialRecord
from search.memory.outcome import Outcome
from search.settings import SearchSettings
from search.verdict.comparison import Interval, compare_over_folds, compare_over_images
from segcore.training.schedule import LAID_OUT_SCHEDULES

FAR_IOU: Final = 0.03
"""A configuration that is surely so far behind on the images of its folds is trained on no more: a choice, well above
what two trainings of one configuration with different seeds usually differ by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a configuration stands after its trainings on further folds.

    Args:
        trial: the search's trial.
        search_iou: its score in the search.
        fold_ious: its score on each further fold.
        interval: of its mean score, over images.
        difference: to the winner, over folds; None where it cannot be told, and for the winner.
        image_difference: to the winner, over images; None likewise.
        dismissed: why it was not trained on; empty while it stays.
    """

    trial: int
    search_iou: float
    fold_ious: dict[int, float]
    interval: Interval | None = None
    difference: Interval | None = None
    image_difference: Interval | None = None
    dismissed: str = ""

    @property
    def iou(self) -> float:
        """Mean score over its further folds; NaN without one."""
        return mean(self.fold_ious.values()) if self.fold_ious else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the trainings on further folds say.

    Args:
        standings: every configuration; those that stay first, the best first.
        folds: further folds that were taken into account.
        pending: (trial, fold) of the trainings that are still to be run; empty when nothing is.
        epochs: what to retrain the winner for; None without a winner.
    """

    standings: tuple[Standing, ...]
    folds: tuple[int, ...] = ()
    pending: tuple[tuple[int, int], ...] = ()
    epochs: int | None = None

    @property
    def winner(self) -> Standing | None:
        """The best of those that stay; None before a round is complete, or when every configuration failed."""
        first = self.standings[0] if self.standings and self.folds else None
        return first if first is not None and not first.dismissed else None

    @property
    def rivals(self) -> list[Standing]:
        """Configurations that cannot be told from the winner."""
        return [standing for standing in self.standings[1:] if not standing.dismissed]

    @property
    def optimism(self) -> float:
        """By how much the winner's score in the search is above its mean on further folds.

        Chance that favoured the winner in the search, but also that fold's being easier or harder than the others.
        """
        return self.winner.search_iou - self.winner.iou if self.winner else math.nan


def further_folds(settings: SearchSettings) -> list[int]:
    """Return the folds to confirm on, those after the search's fold."""
    others = [(settings.fold + step) % settings.folds for step in range(1, settings.folds)]
    return others[: settings.confirm_folds]


def decide(
    candidates: Sequence[TrialRecord], trainings: History, settings: SearchSettings, block_of: Mapping[str, str]
) -> Decision:
    """Race the candidates over the further folds, one fold a round, as far as trainings have ended.

    After a round a candidate is dismissed when the interval of its difference to the leader lies below zero (see
    `compare_over_folds`; Bonferroni over the candidates of a round, not over rounds, as in F-Race: Birattari et al., A
    Racing Algorithm for Configuring Metaheuristics, 2002), or when it is surely more than `FAR_IOU` behind on these
    images (see `compare_over_images`). A training that failed or has no score dismisses its configuration; a fold on
    which no configuration has a score tells nothing, and the race ends before it.

    The score of a training is that of its last epoch where the rate's course is laid out over the epochs; else that of
    the median of the best epochs on the other folds, so that no fold chooses the epoch that it is scored at.

    Args:
        candidates: trials of the search, the best first.
        trainings: the journal of the confirmation.
        settings: the search's settings.
        block_of: block of each image, see `segcore.data.folds.FoldSplit`.
    """
    of_key = {(trial.source, trial.fold): trial for trial in trainings.in_order}
    race = _Race(candidates=candidates, trainings=of_key, all_folds=settings.folds, block_of=block_of)
    for fold in further_folds(settings):
        staying = race.staying
        if len(staying) < 2:
            break
        pending = [trial.number for trial in staying if _is_pending(of_key.get((trial.number, fold)))]
        if pending:
            return Decision(
                standings=race.stand(), folds=tuple(race.folds), pending=tuple((number, fold) for number in pending)
            )
        if not race.run_round(fold):
            break
    return Decision(standings=race.stand(), folds=tuple(race.folds), epochs=race.epochs_to_retrain())


def best_epochs(values: Mapping[str, object], found: Sequence[int]) -> int | None:
    """Return the epochs to train for: all where the rate is laid out over them, else the median of the best ones.

    Args:
        values: of `TrainConfig`.
        found: the best epoch on each fold.

    Returns:
        None when no fold has a best epoch.
    """
    if values["rate_schedule"] in LAID_OUT_SCHEDULES:
        return int(str(values["epochs"]))
    return round(median(found)) if found else None


@dataclass(slots=True, kw_only=True)
class _Race:
    candidates: Sequence[TrialRecord]
    trainings: Mapping[tuple[int | None, int], TrialRecord]
    all_folds: int
    block_of: Mapping[str, str]
    folds: list[int] = field(default_factory=list)
    dismissed: dict[int, str] = field(default_factory=dict)

    @property
    def staying(self) -> list[TrialRecord]:
        return [trial for trial in self.candidates if trial.number not in self.dismissed]

    def run_round(self, fold: int) -> bool:
        """Dismiss who has no score or is behind; return False, and leave the fold out, when nobody has a score."""
        self.folds.append(fold)
        records = {trial.number: self._fold_records(trial) for trial in self.staying}
        if not any(fold in of_fold for of_fold in records.values()):
            self.folds.pop()
            return False
        for number, of_fold in records.items():
            # The epoch that an earlier fold is scored at follows from the other folds, and may have no score.
            for missing in sorted(set(self.folds) - of_fold.keys())[:1]:
                training = self.trainings[number, missing]
                said = f"{training.outcome}: {training.message}".rstrip(": ")
                self.dismissed[number] = f"its training on fold {missing} has no score ({said})"
        self._dismiss_behind()
        return True

    def _dismiss_behind(self) -> None:
        staying, scores = self.staying, self._scores()
        if len(staying) < 2:
            return
        leader = self._leader(scores)
        for trial in staying:
            reason = "" if trial is leader else self._reason(scores, trial, leader, len(staying) - 1)
            if reason:
                self.dismissed[trial.number] = f"{reason} than trial {leader.number} after {len(self.folds)} fold(s)"

    def stand(self) -> tuple[Standing, ...]:
        scores, staying = self._scores(), self.staying
        leader = self._leader(scores) if staying and self.folds else None
        standings = [
            self._standing(trial, leader, scores, max(1, len(self.candidates) - 1)) for trial in self.candidates
        ]
        return tuple(sorted(standings, key=lambda each: (bool(each.dismissed), -each.iou if each.fold_ious else 0)))

    def epochs_to_retrain(self) -> int | None:
        if not self.staying or not self.folds:
            return None
        leader = self._leader(self._scores())
        return best_epochs(leader.values, self._best_epochs(leader, self.folds))

    def _leader(self, scores: Mapping[int, Mapping[int, float]]) -> TrialRecord:
        # All that stay have every fold, so that their means compare; of equals the better in the search comes first.
        return max(self.staying, key=lambda trial: mean(scores[trial.number].values()))

    def _scores(self) -> dict[int, dict[int, float]]:
        table = {trial.number: self._fold_records(trial) for trial in self.candidates}
        return {number: {fold: record.iou for fold, record in row.items()} for number, row in table.items() if row}

    def _fold_records(self, trial: TrialRecord) -> dict[int, EpochRecord]:
        records = {}
        for fold in self.folds:
            training = self.trainings.get((trial.number, fold))
            if training is None or training.outcome is not Outcome.FINISHED:
                continue
            others = self._best_epochs(trial, [other for other in self.folds if other != fold])
            if trial.outcome is Outcome.FINISHED and trial.best is not None:
                # One that ASHA stopped was still learning: its best epoch says nothing.
                others.append(trial.best.epoch)
            epoch = best_epochs(trial.values, others) or training.last_epoch
            record = training.epochs.get(min(epoch, training.last_epoch))
            if record is not None and record.iou == record.iou:
                records[fold] = record
        return records

    def _best_epochs(self, trial: TrialRecord, folds: Sequence[int]) -> list[int]:
        trainings = [self.trainings.get((trial.number, fold)) for fold in folds]
        finished = [each for each in trainings if each is not None and each.outcome is Outcome.FINISHED]
        return [training.best.epoch for training in finished if training.best is not None]

    def _reason(
        self, scores: Mapping[int, Mapping[int, float]], trial: TrialRecord, leader: TrialRecord, comparisons: int
    ) -> str:
        over_folds = self._compare_folds(scores, trial, leader, comparisons)
        if over_folds is not None and over_folds.high < 0:
            return f"worse by {-over_folds.high:.4f} to {-over_folds.low:.4f} iou"
        over_images = self._compare_images(trial, leader, comparisons)
        if over_images is not None and over_images.high < -FAR_IOU:
            return f"worse by more than {FAR_IOU:g} iou ({-over_images.high:.4f} to {-over_images.low:.4f} over images)"
        return ""

    def _compare_folds(
        self, scores: Mapping[int, Mapping[int, float]], trial: TrialRecord, leader: TrialRecord, comparisons: int
    ) -> Interval | None:
        return compare_over_folds(scores, trial.number, leader.number, folds=self.all_folds, comparisons=comparisons)

    def _compare_images(self, trial: TrialRecord, leader: TrialRecord | None, comparisons: int) -> Interval | None:
        records = self._fold_records(trial)
        if leader is None:
            return self._over_images({fold: record.image_ious for fold, record in records.items()}, comparisons)
        of_leader = self._fold_records(leader)
        differences: dict[int, dict[str, float] | None] = {}
        for fold in sorted(set(records) & set(of_leader)):
            mine, other = records[fold].image_ious, of_leader[fold].image_ious
            both = sorted(set(mine) & set(other)) if mine is not None and other is not None else []
            differences[fold] = {name: mine[name] - other[name] for name in both} if mine and other else None
        return self._over_images(differences, comparisons)

    def _over_images(self, values: Mapping[int, dict[str, float] | None], comparisons: int) -> Interval | None:
        known = {fold: of_image for fold, of_image in values.items() if of_image}
        if len(known) < len(values):
            return None
        return compare_over_images(known, self.block_of, comparisons=comparisons)

    def _standing(
        self,
        trial: TrialRecord,
        leader: TrialRecord | None,
        scores: Mapping[int, Mapping[int, float]],
        comparisons: int,
    ) -> Standing:
        over_folds = over_images = None
        if leader is not None and trial is not leader and trial.number in scores:
            over_folds = self._compare_folds(scores, trial, leader, comparisons)
            over_images = self._compare_images(trial, leader, comparisons)
        return Standing(
            trial=trial.number,
            search_iou=trial.best.iou if trial.best is not None else math.nan,
            fold_ious=dict(scores.get(trial.number, {})),
            interval=self._compare_images(trial, None, 1),
            difference=over_folds,
            image_difference=over_images,
            dismissed=self.dismissed.get(trial.number, ""),
        )


def _is_pending(training: TrialRecord | None) -> bool:
    return training is None or training.outcome is None


def count_trainings(settings: SearchSettings) -> int:
    """Return the most trainings that a confirmation runs."""
    return settings.confirm * len(further_folds(settings))
