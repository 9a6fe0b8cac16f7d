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
from search.insight.decisions import Decisions
from search.insight.spending import cost_stages, name_device, worker_seconds
from search.memory.best import confirmation_folds
from search.memory.history import TrialRecord
from search.memory.outcome import FAILURES
from search.settings import describe_damage
from segcore.errors import CheckpointError


def fill_line(look: Look) -> SearchLine:
    """Return a search as a line of the list."""
    best, confirmed, out_of_fold = fill_best(look), fill_confirmed(look), fill_out_of_fold(look)
    moments = [history.last_moment for history in look.stages.values()]
    return SearchLine(
        name=look.settings.name,
        state=look.state,
        metric=look.settings.metric,
        trials=len(look.history.trials),
        planned_trials=look.settings.trials,
        best=best.score if best else None,
        confirmed=confirmed.score if confirmed else None,
        out_of_fold=out_of_fold.score if out_of_fold else None,
        device_hours=sum(cost.device_hours for cost in cost_stages(look.stages, look.place)),
        device=name_device(look.place),
        last_heard=max((moment for moment in moments if moment is not None), default=None),
    )


def fill_status(look: Look, seconds_left: float | None) -> StatusDocument:
    """Return all that is known of a search.

    Args:
        look: the search.
        seconds_left: of the stage that runs; None where nothing tells.
    """
    trials = [_fill_trial(trial) for trial in look.history.in_order]
    states = [trial.state for trial in trials]
    return StatusDocument(
        name=look.settings.name,
        state=look.state,
        metric=look.settings.metric,
        planned_trials=look.settings.trials,
        epochs=look.settings.epochs,
        counts={state: states.count(state) for state in dict.fromkeys(states)},
        seconds_left=seconds_left,
        best=fill_best(look),
        confirmed=fill_confirmed(look),
        out_of_fold=fill_out_of_fold(look),
        device=name_device(look.place),
        stages=[
            StageLine(
                stage=cost.stage,
                trainings=cost.trainings,
                worker_seconds=cost.worker_seconds,
                device_hours=cost.device_hours,
            )
            for cost in cost_stages(look.stages, look.place)
        ],
        warnings=[warning.message for history in look.stages.values() for warning in history.warnings],
        trials=trials,
    )


def fill_best(look: Look) -> BestScore | None:
    """Return the best of the search's fold; None before a score."""
    winner = next((trial for trial in look.history.ranked if trial.outcome not in FAILURES), None)
    if winner is None or winner.best is None:
        return None
    record = winner.best
    return BestScore(trial=winner.number, epoch=record.epoch, score=record.score, metrics=record.metrics)


def fill_confirmed(look: Look) -> Confirmed | None:
    """Return the winner on further folds, as `best.json` names it; None while it names none."""
    best = look.best_file
    told = best.get("confirmation") if best else None
    if best is None or not told:
        return None
    try:
        low, high = told["interval"] or (None, None)
        return Confirmed(
            trial=best["trial"],
            score=told["score"],
            low=low,
            high=high,
            rounds=len(told.get("further_seeds") or confirmation_folds(best)),
            optimism=told["optimism"],
            rivals=told["rivals"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{look.folder.best} has a confirmation that cannot be read ({describe_damage(error)}); "
            f"'{look.folder.command('best')}' writes it anew."
        ) from None


def fill_out_of_fold(look: Look) -> OutOfFoldScore | None:
    """Return the retraining's score; None before it has ended."""
    closed = look.retrainings.closed
    if closed is None:
        return None
    last = [trial.epochs[trial.last_epoch].score for trial in look.retrainings.in_order if trial.epochs]
    return OutOfFoldScore(
        score=closed.metrics.get(look.settings.metric),
        trainings=[score for score in last if math.isfinite(score)],
        metrics=closed.metrics,
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
        reason=trial.message,
        epochs=trial.last_epoch,
        score=best.score if best else None,
        best_epoch=best.epoch if best else None,
        metrics=best.metrics if best else {},
        params=trial.params,
        kept=trial.kept,
        restarts=trial.restarts,
        worker_seconds=worker_seconds(trial),
        started=trial.started,
        ended=trial.ended,
        heard=trial.heard,
    )

