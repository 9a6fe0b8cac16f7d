"""The race of a search's best configurations over further folds, decided from records alone.

A search takes the best of many scores on one fold, so its winner's score flatters and its winner may be luck. Here
stands who is trained on the next fold, who wins, and who cannot be told from the winner. Where there is one fold, a
further seed stands for a further fold, see `rounds`: it takes out the luck of a training, not that of the images. The
statistics live in `comparison`, the trainings in `confirm`, what comes of it in `decision`, what `best.json` holds of
it in `selection`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median

from search.memory.history import EpochRecord, History, TrialRecord
from search.memory.outcome import Outcome, tell_last_line
from search.settings import SearchSettings
from search.verdict.comparison import (
    Interval,
    average_images,
    compare_over_folds,
    compare_over_images,
    estimate_choice_bias,
)
from search.verdict.decision import Contender, Decision, explain_doubt
from search.verdict.rounds import further_rounds, index_trainings, name_round
from segcore.training.schedule import LAID_OUT_SCHEDULES


def decide(
    candidates: Sequence[TrialRecord], trainings: History, settings: SearchSettings, block_of: Mapping[str, str]
) -> Decision:
    """Race the candidates over the further folds, one fold a round, as far as trainings have ended.

    After a round a candidate is dismissed when the interval of its difference to the leader lies below zero (see
    `compare_over_folds`; Bonferroni over the candidates of a round, not over rounds, as in F-Race: Birattari et al., A
    Racing Algorithm for Configuring Metaheuristics, 2002).

    Where there is no such interval, as after the first fold, a candidate is dismissed when it is far behind on its
    images: its interval over them (see `compare_over_images`) lies further below zero than other images may move the
    leader's own score. An interval over images knows nothing of the luck of a training, whose size nobody knows after
    one fold. The leader's interval is a yardstick in the data's own unit: it is long where images are few and unlike,
    and there luck is large, too.

    A training that failed or has no score dismisses its configuration. A fold on which no configuration has a score
    tells nothing, and the race ends before it.

    A training is scored at its last epoch where the rate's course is laid out over the epochs. Else it is scored at the
    median of the best epochs on the other folds, so that no fold chooses the epoch that it is scored at.

    Args:
        candidates: trials of the search, the best first; beyond as many as the settings say are those that were trained
            before others overtook them, which race with what they have.
        trainings: the journal of the confirmation.
        settings: the search's settings.
        block_of: block of each image, see `segcore.data.dividing.split.FoldSplit`.
    """
    of_key = index_trainings(candidates, trainings.in_order, settings)
    asked = {trial.number for trial in candidates[: settings.confirm]}
    race = _Race(candidates=candidates, trainings=of_key, settings=settings, block_of=block_of)
    for fold in further_rounds(settings):
        staying = race.staying
        if len(staying) < 2:
            break
        lacking = [trial.number for trial in staying if _is_pending(of_key.get((trial.number, fold)))]
        pending = [number for number in lacking if number in asked]
        if pending:
            return race.conclude(tuple((number, fold) for number in pending))
        if not race.run_round(fold):
            break
    return race.conclude()


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
    trainings: Mapping[tuple[int, int], TrialRecord]
    settings: SearchSettings
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
                self.dismissed[number] = self._explain_missing(number, missing)
        self._dismiss_behind()
        return True

    def _explain_missing(self, number: int, missing: int) -> str:
        training, place = self.trainings.get((number, missing)), name_round(missing, self.settings)
        if training is None or training.outcome is None:
            return f"others overtook it in the search before it was trained {place}"
        why = f"{training.outcome}: {tell_last_line(training.message)}".rstrip(": ")
        return f"its training {place} has no score ({why})"

    def _dismiss_behind(self) -> None:
        staying, scores = self.staying, self._scores()
        if len(staying) < 2:
            return
        leader = self._leader(scores)
        for trial in staying:
            reason = "" if trial is leader else self._reason(scores, trial, leader, len(staying) - 1)
            if reason:
                word = "fold" if self.settings.folds > 1 else "seed"
                after = f"{len(self.folds)} {word}{'s' if len(self.folds) > 1 else ''}"
                self.dismissed[trial.number] = f"{reason} than trial {leader.number} after {after}"

    def conclude(self, pending: tuple[tuple[int, int], ...] = ()) -> Decision:
        scores, staying = self._scores(), self.staying
        leader = self._leader(scores) if staying and self.folds else None
        comparisons = len(self.candidates) - 1
        contenders = [self._contender(trial, leader, scores, comparisons) for trial in self.candidates]
        contenders.sort(key=lambda each: (bool(each.dismissed), -each.score if each.fold_scores else 0))
        return Decision(
            contenders=tuple(contenders),
            folds=tuple(self.folds),
            pending=pending,
            epochs=self._epochs_to_retrain(),
            choice_bias=estimate_choice_bias(scores, folds=self.settings.folds) if leader is not None else None,
        )

    def _epochs_to_retrain(self) -> int | None:
        if not self.staying or not self.folds:
            return None
        leader = self._leader(self._scores())
        return best_epochs(leader.values, self._best_epochs(leader, self.folds))

    def _leader(self, scores: Mapping[int, Mapping[int, float]]) -> TrialRecord:
        # All that stay have every fold, so that their means compare; of equals the better in the search comes first.
        return max(self.staying, key=lambda trial: mean(scores[trial.number].values()))

    def _scores(self) -> dict[int, dict[int, float]]:
        table = {trial.number: self._fold_records(trial) for trial in self.candidates}
        return {number: {fold: record.score for fold, record in row.items()} for number, row in table.items() if row}

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
            if record is not None and record.score == record.score:
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
        if over_folds is not None:
            told = f"worse by {-over_folds.high:.4f} to {-over_folds.low:.4f} {self.settings.metric}"
            return told if over_folds.high < 0 else ""
        over_images, own = self._compare_images(trial, leader, comparisons), self._compare_images(leader, None, 1)
        if over_images is not None and own is not None and over_images.high < own.low - own.estimate:
            told = f"worse by {-over_images.high:.4f} to {-over_images.low:.4f} {self.settings.metric} over images"
            return f"{told}, where other images may change {own.estimate - own.low:.4f},"
        return ""

    def _compare_folds(
        self, scores: Mapping[int, Mapping[int, float]], trial: TrialRecord, leader: TrialRecord, comparisons: int
    ) -> Interval | None:
        return compare_over_folds(
            scores, trial.number, leader.number, folds=self.settings.folds, comparisons=comparisons
        )

    def _compare_images(self, trial: TrialRecord, leader: TrialRecord | None, comparisons: int) -> Interval | None:
        records = self._fold_records(trial)
        if leader is None:
            return self._over_images({fold: record.image_scores for fold, record in records.items()}, comparisons)
        of_leader = self._fold_records(leader)
        differences: dict[int, dict[str, float] | None] = {}
        for fold in sorted(set(records) & set(of_leader)):
            mine, other = records[fold].image_scores, of_leader[fold].image_scores
            both = sorted(set(mine) & set(other)) if mine is not None and other is not None else []
            differences[fold] = {name: mine[name] - other[name] for name in both} if mine and other else None
        return self._over_images(differences, comparisons)

    def _over_images(self, values: Mapping[int, dict[str, float] | None], comparisons: int) -> Interval | None:
        known = {fold: of_image for fold, of_image in values.items() if of_image}
        if len(known) < len(values):
            return None
        # Further seeds are scored on the same images, which are no others for being seen again.
        parts = known if self.settings.folds > 1 else {self.settings.fold: average_images(known.values())}
        return compare_over_images(parts, self.block_of, comparisons=comparisons)

    def _contender(
        self,
        trial: TrialRecord,
        leader: TrialRecord | None,
        scores: Mapping[int, Mapping[int, float]],
        comparisons: int,
    ) -> Contender:
        over_folds = over_images = None
        dismissed, doubt = self.dismissed.get(trial.number, ""), ""
        if leader is not None and trial is not leader and trial.number in scores:
            over_folds = self._compare_folds(scores, trial, leader, comparisons)
            over_images = self._compare_images(trial, leader, comparisons)
            alone = self._compare_folds(scores, trial, leader, 1)
            doubt = "" if dismissed else explain_doubt(over_folds, over_images, alone, comparisons)
        return Contender(
            trial=trial.number,
            search_score=trial.best_score,
            fold_scores=dict(scores.get(trial.number, {})),
            interval=self._compare_images(trial, None, 1),
            difference=over_folds,
            image_difference=over_images,
            dismissed=dismissed,
            doubt=doubt,
        )


def _is_pending(training: TrialRecord | None) -> bool:
    return training is None or training.outcome is None
