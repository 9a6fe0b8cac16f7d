"""Trains the best configurations of a search on further folds until the winner stands; one fold counts a round.

Where the data has one fold alone, further seeds take the place of further folds, see `verdict.rounds`.

What a round says is decided in `race`; the winner is written by `selection`. The stage has a journal of its own, so
an interrupted confirmation goes on, and an extended search trains only what is new among its best.
"""

from collections.abc import Sequence

from search.folder import StageFolder
from search.judge.progress import RETRIED
from search.memory.events import Asked, Closed, Dropped
from search.memory.history import History, TrialRecord
from search.memory.journal import read_history
from search.memory.outcome import Outcome
from search.run.loop import retry_failed, run_folds
from search.run.stage import Stage
from search.run.trial import STATE_FILE
from search.settings import write_settings
from search.stages.stage import OpenStage
from search.verdict.decision import Decision
from search.verdict.notes import best_note
from search.verdict.race import decide
from search.verdict.rounds import further_rounds, index_trainings, place_training
from search.verdict.selection import choose_confirmed, choose_contenders

Trainings = Sequence[tuple[int, int]]
"""(trial of the search, round) of each."""


def run_confirmation(opened: OpenStage, *, retry: bool, save: bool) -> None:
    """Train the best configurations on further folds or with further seeds, as far as the race needs them.

    Args:
        opened: the confirmation's stage.
        retry: whether to try again what had failed.
        save: whether to save the settings, once nothing stands against the run.

    Raises:
        InterruptedSearchError: when it was stopped from outside.
    """
    stage, folder = opened.stage, opened.search.folder
    if save:
        write_settings(stage.settings, folder.settings)
    history = read_history(folder.search_stage.journal, stage.settings.metric)
    if retry:
        retry_failed(stage.journal)
    confirm_candidates(stage, history)
    found = choose_confirmed(history, stage.journal.history, stage.settings, stage.job.split)
    metrics = {stage.settings.metric: found.confirmation.score} if found.confirmation is not None else {}
    stage.journal.write(Closed(metrics=metrics, note=best_note(found)))


def confirm_candidates(stage: Stage, history: History) -> Decision:
    """Run the confirmation to its end.

    Args:
        stage: the confirmation's stage.
        history: the search's trials.

    Raises:
        InterruptedSearchError: when it was stopped from outside.
    """
    settings, trainings = stage.settings, stage.journal.history
    candidates = choose_contenders(history, trainings, settings)
    decision = decide(candidates, trainings, settings, stage.job.split.block_of)
    while decision.pending:
        wanted = fill_workers(decision.pending, further_rounds(settings), stage.room.count())
        # What an earlier run began and has fallen behind since stays as it is.
        run_folds(stage, _plan(stage, candidates, wanted))
        decision = decide(candidates, trainings, settings, stage.job.split.block_of)
    _drop_checkpoints(stage, decision)
    return decision


def fill_workers(pending: Trainings, rounds: Sequence[int], workers: int) -> Trainings:
    """Add trainings of the next rounds, which workers would otherwise wait for.

    Who is dismissed before such a round counts was trained in it for nothing, by workers that had nothing else to do.

    Args:
        pending: (trial, round) of this round.
        rounds: all of them, in order.
        workers: trainings at a time.
    """
    (now,) = {each for _, each in pending}
    later = rounds[rounds.index(now) + 1 :]
    ahead = [(number, each) for each in later for number, _ in pending]
    return (*pending, *ahead[: max(0, workers - len(pending))])


def find_confirmed(
    folder: StageFolder, source: int, values: dict[str, object], metric: str
) -> dict[tuple[int, int], TrialRecord]:
    """Return by fold and seed the finished trainings of a configuration that a retraining would only repeat.

    Args:
        folder: the confirmation's files.
        source: the search's trial.
        values: what is to be trained, with any seed; a training for other epochs is another one.
        metric: what decides.
    """
    return {
        (trial.fold, trial.values["seed"]): trial
        for trial in read_history(folder.journal, metric).in_order
        if trial.source == source
        and {**trial.values, "seed": values["seed"]} == values
        and trial.outcome is Outcome.FINISHED
        and trial.checkpoint is not None
        and folder.has(trial.checkpoint, STATE_FILE)
    }


def _plan(stage: Stage, candidates: list[TrialRecord], wanted: Trainings) -> list[int]:
    """Ask for the trainings that the journal has not; return the numbers of all that are wanted."""
    history, settings = stage.journal.history, stage.settings
    known = index_trainings(candidates, history.in_order, settings)
    values_of = {trial.number: trial.values for trial in candidates}
    for number, each in wanted:
        if (number, each) not in known:
            fold, values = place_training(values_of[number], each, settings)
            # No fold may steer its own training.
            values |= {"patience_epochs": 0}
            stage.journal.write(Asked(trial=history.next_number, fold=fold, values=values, params={}, source=number))
    found = index_trainings(candidates, history.in_order, settings)
    return [found[each].number for each in wanted]


def _drop_checkpoints(stage: Stage, decision: Decision) -> None:
    # The retraining takes over the winner's networks; the others' scores are in the journal.
    winner = decision.winner.trial if decision.winner else None
    for trial in stage.journal.history.in_order:
        if trial.checkpoint is not None and trial.source != winner and trial.outcome not in (None, *RETRIED):
            stage.journal.write(Dropped(trial=trial.number))
            for place in trial.checkpoints:
                stage.folder.delete(place)
