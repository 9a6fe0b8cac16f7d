"""Fills the documents of `--json` from what was read of a search."""

import math

from search.commands.documents import (
    BestScore,
    Confirmed,
    OutOfFoldScore,
    ReplayLine,
    SearchLine,
    StageLine,
    StatusDocument,
    TrialLine,
)
from search.commands.reading import Look
from search.commands.tables import name_state
from search.insight.cost import account_stages, name_device_hours
from search.insight.decisions import Decisions
from search.insight.record import Record
from search.insight.spending import worker_seconds
from search.memory.history import TrialRecord


def fill_line(look: Look) -> SearchLine:
    """Return a search as a line of the list."""
    record = look.record
    best, confirmed, out_of_fold = fill_best(record), fill_confirmed(record), fill_out_of_fold(record)
    moments = [each.last_moment for each in (record.history, record.confirmation, record.retraining)]
    return SearchLine(
        name=record.settings.name,
        state=look.state,
        metric=record.metric,
        trials=len(record.history.trials),
        planned_trials=record.settings.trials,
        best=best.score if best else None,
        confirmed=confirmed.score if confirmed else None,
        out_of_fold=out_of_fold.score if out_of_fold and out_of_fold.of_winner else None,
        device_hours=sum(cost.device_hours for cost in account_stages(record)),
        device=name_device_hours(record.place),
        last_heard=max((moment for moment in moments if moment is not None), default=None),
    )


def fill_status(look: Look) -> StatusDocument:
    """Return all that is known of a search."""
    record = look.record
    trials = [_fill_trial(trial) for trial in record.history.in_order]
    states = [trial.state for trial in trials]
    return StatusDocument(
        name=record.settings.name,
        state=look.state,
        metric=record.metric,
        planned_trials=record.settings.trials,
        epochs=record.settings.epochs,
        counts={state: states.count(state) for state in dict.fromkeys(states)},
        seconds_left=look.seconds_left,
        best=fill_best(record),
        confirmed=fill_confirmed(record),
        out_of_fold=fill_out_of_fold(record),
        device=name_device_hours(record.place),
        stages=[
            StageLine(
                stage=cost.stage,
                trainings=cost.trainings,
                worker_seconds=cost.worker_seconds,
                device_hours=cost.device_hours,
            )
            for cost in account_stages(record)
        ],
        warnings=[warning.message for history in record.stages.values() for warning in history.warnings],
        trials=trials,
    )


def fill_best(record: Record) -> BestScore | None:
    """Return the best of the search's fold; None before a score."""
    winner = next(iter(record.history.eligible), None)
    if winner is None or winner.best is None:
        return None
    best = winner.best
    return BestScore(trial=winner.number, epoch=best.epoch, score=best.score, metrics=dict(best.metrics))


def fill_confirmed(record: Record) -> Confirmed | None:
    """Return the winner on further folds; None while there is none."""
    best, told = record.best, record.confirmed
    if best is None or told is None:
        return None
    low, high = told.interval or (None, None)
    return Confirmed(
        trial=best.trial,
        score=told.score,
        low=low,
        high=high,
        rounds=told.rounds,
        optimism=told.optimism,
        rivals=told.rivals,
    )


def fill_out_of_fold(record: Record) -> OutOfFoldScore | None:
    """Return the retraining's score; None before it has ended."""
    closed = record.retraining.closed
    if closed is None:
        return None
    last = [trial.epochs[trial.last_epoch].score for trial in record.winner_trainings if trial.epochs]
    return OutOfFoldScore(
        score=closed.metrics.get(record.metric),
        trainings=[score for score in last if math.isfinite(score)],
        metrics=closed.metrics,
        of_winner=record.is_model_current,
    )


def fill_decisions(row: Decisions, own: tuple[int, int]) -> ReplayLine:
    """Return what ASHA would have decided under one pair of settings.

    Args:
        row: the decisions.
        own: grace epochs and reduction factor of the search.
    """
    return ReplayLine(
        grace_epochs=row.grace_epochs,
        reduction_factor=row.reduction_factor,
        own=(row.grace_epochs, row.reduction_factor) == own,
        stopped={str(trial): epoch for trial, epoch in row.stopped.items()},
        revived=list(row.revived),
        saved_epochs=row.saved_epochs,
        saved_seconds=row.saved_seconds,
        open=list(row.open),
        least_epochs=row.least_epochs,
        most_epochs=row.most_epochs,
        best=row.best if math.isfinite(row.best) else None,
    )


def _fill_trial(trial: TrialRecord) -> TrialLine:
    best = trial.best
    return TrialLine(
        trial=trial.number,
        state=name_state(trial),
        reason=trial.message or trial.pruned,
        epochs=trial.last_epoch,
        score=best.score if best else None,
        best_epoch=best.epoch if best else None,
        metrics=dict(best.metrics) if best else {},
        params=trial.params,
        kept=trial.kept,
        restarts=trial.restarts,
        worker_seconds=worker_seconds(trial),
        started=trial.started,
        ended=trial.ended,
        heard=trial.heard,
    )
