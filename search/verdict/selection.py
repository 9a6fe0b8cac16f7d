"""Names the winner of a search and writes `best.json`, which hands it to the retraining.

Until the best configurations are confirmed on further folds, the winner is the best of many scores on one fold. How
that race is decided lives in `race`, its trainings in `confirm`.
"""

from collections.abc import Sequence
from dataclasses import replace

from search.folder import SearchFolder
from search.memory.best import Configuration, Confirmation, Ends, Finalist, Winner, write_best
from search.memory.history import History, TrialRecord, count_ends
from search.memory.journal import read_history
from search.memory.outcome import Outcome, tell_end
from search.settings import SearchSettings
from search.verdict.comparison import FOLDS_METHOD, IMAGES_METHOD, SEEDS_METHOD, Interval
from search.verdict.decision import Contender, Decision
from search.verdict.race import best_epochs, decide
from search.verdict.rounds import further_rounds, index_trainings, tell_rounds
from segcore.counting import count_words
from segcore.data.dividing.split import FoldSplit, read_folds
from segcore.errors import CheckpointError


def choose_best(history: History, settings: SearchSettings) -> Winner:
    """Return the winner on the search's fold: the trial with the highest score of any epoch.

    The epochs to retrain for are the winner's best epoch, or all of its epochs where the rate's course is laid out over
    them.

    Raises:
        CheckpointError: when no trial has a score.
    """
    ranked = history.eligible
    if not history.trials:
        raise CheckpointError(f"Search {settings.name!r} has begun no trial yet; resume it first.")
    if not ranked:
        raise CheckpointError(
            f"Search {settings.name!r} has no trial with a score yet; of {count_words(len(history.trials), 'trial')}: "
            f"{count_ends(history.in_order)}. {_tell_last_failure(history)}"
        )
    return _describe_trial(ranked[0], history, settings)


def _tell_last_failure(history: History) -> str:
    failed = history.list_by_outcome(Outcome.FAILED)
    if not failed:
        return "'status' says why, and what to do."
    last = max(failed, key=lambda trial: trial.ended or 0.0)
    return (
        f"The last that failed, trial {last.number}: {tell_end(last.message).rstrip('.')}. Once the cause is mended, "
        "'resume' with --retry-failed takes up again what failed."
    )


def choose_candidates(history: History, settings: SearchSettings) -> list[TrialRecord]:
    """Return the trials that are worth further folds, as many as the settings say, the best first; equal ones once."""
    candidates: list[TrialRecord] = []
    for trial in history.eligible:
        if len(candidates) == settings.confirm:
            break
        if all(trial.values != other.values for other in candidates):
            candidates.append(trial)
    return candidates


def choose_contenders(history: History, trainings: History, settings: SearchSettings) -> list[TrialRecord]:
    """Return the candidates, then who was one before more trials overtook it and has a score on the first further fold.

    Args:
        history: the search's trials.
        trainings: the journal of the confirmation.
        settings: the search's settings.
    """
    candidates, ranked = choose_candidates(history, settings), history.eligible
    known = index_trainings(ranked, trainings.in_order, settings)
    first = further_rounds(settings)[:1]
    ended = {key for key, training in known.items() if training.outcome is Outcome.FINISHED and training.best}
    scored = {number for number, each in ended if each in first}
    taken = [trial.values for trial in candidates]
    return [*candidates, *(trial for trial in ranked if trial.number in scored and trial.values not in taken)]


def count_overtaken(history: History, trainings: History, settings: SearchSettings) -> int:
    """Return how many trainings of a confirmation are of configurations that more trials overtook since.

    Args:
        history: the search's trials.
        trainings: the journal of the confirmation.
        settings: the search's settings.
    """
    candidates = {trial.number for trial in choose_candidates(history, settings)}
    return sum(training.source not in candidates for training in trainings.in_order)


def choose_confirmed(history: History, trainings: History, settings: SearchSettings, split: FoldSplit) -> Winner:
    """Return the winner over further folds, or that of the search's fold until every training for it has ended.

    Args:
        history: the search's trials.
        trainings: the journal of the confirmation; empty when there was none.
        settings: the search's settings.
        split: the folds.

    Raises:
        CheckpointError: when no trial has a score.
    """
    best = choose_best(history, settings)
    decision = decide(choose_contenders(history, trainings, settings), trainings, settings, split.block_of)
    if decision.winner is None or decision.pending:
        return best
    confirmed = _describe_trial(history.trials[decision.winner.trial], history, settings)
    epochs = decision.epochs or confirmed.values["epochs"]
    return replace(
        confirmed,
        values={**confirmed.values, "epochs": epochs},
        confirmation=_describe_decision(decision, decision.winner, settings),
    )


def choose_further(
    best: Winner, history: History, trainings: History, known: Sequence[int], count: int
) -> list[Configuration]:
    """Return the best configurations beside the winner that may join it in an ensemble.

    Those that were confirmed come first, in their order, then those of the search in its order. They learn the winner's
    labels, since outputs of other classes cannot be averaged.

    Args:
        best: the winner.
        history: the search's trials.
        trainings: the journal of the confirmation; empty when there was none.
        known: trials that are chosen already.
        count: how many are wanted.
    """
    finalists = best.confirmation.contenders if best.confirmation is not None else []
    contenders = [each.trial for each in finalists if each.fold_scores]
    order = [*contenders, *(trial.number for trial in history.eligible)]
    taken = [best.values]
    found: list[Configuration] = []
    for number in dict.fromkeys(order):
        trial = history.trials.get(number)
        if trial is None or trial.best is None or number in (best.trial, *known) or len(found) >= count:
            continue
        epochs = best_epochs(trial.values, _best_epochs_again(number, trainings) or [trial.best.epoch])
        values = {**trial.values, "epochs": epochs, "patience_epochs": 0}
        if values["labels"] == best.values["labels"] and values not in taken:
            taken.append(values)
            found.append(Configuration(trial=number, values=values))
    return found


def _best_epochs_again(trial: int, trainings: History) -> list[int]:
    """Return the best epochs of a trial's confirmation; one that was cut short, as by a failure, says nothing."""
    again = [each for each in trainings.in_order if each.source == trial and each.outcome is Outcome.FINISHED]
    return [training.best.epoch for training in again if training.best is not None]


def _describe_trial(winner: TrialRecord, history: History, settings: SearchSettings) -> Winner:
    record = winner.best
    assert record is not None
    epochs = best_epochs(winner.values, [record.epoch])
    return Winner(
        search=settings.name,
        trial=winner.number,
        split=settings.split,
        fold=winner.fold,
        epoch=record.epoch,
        metric=settings.metric,
        metrics=dict(record.metrics),
        values={**winner.values, "epochs": epochs, "patience_epochs": 0},
        trials=len(history.trials),
    )


def _describe_decision(decision: Decision, winner: Contender, settings: SearchSettings) -> Confirmation:
    over_seeds = settings.folds == 1
    method = SEEDS_METHOD if over_seeds else FOLDS_METHOD
    return Confirmation(
        told=tell_rounds(len(decision.folds), settings),
        score=winner.score,
        interval=_score_ends(winner.interval),
        folds=[] if over_seeds else list(decision.folds),
        further_seeds=list(decision.folds) if over_seeds else [],
        optimism=decision.optimism,
        best_of=decision.scored,
        choice_bias=decision.choice_bias,
        rivals=[rival.trial for rival in decision.rivals],
        contenders=[_describe_contender(contender) for contender in decision.contenders],
        methods={"interval": IMAGES_METHOD, "difference": method, "image_difference": IMAGES_METHOD},
    )


def _describe_contender(contender: Contender) -> Finalist:
    return Finalist(
        trial=contender.trial,
        search_score=contender.search_score,
        fold_scores=contender.fold_scores,
        score=contender.score if contender.fold_scores else None,
        interval=_score_ends(contender.interval),
        difference=_ends(contender.difference),
        image_difference=_ends(contender.image_difference),
        dismissed=contender.dismissed,
        doubt=contender.doubt,
    )


def _ends(interval: Interval | None) -> Ends | None:
    return (interval.low, interval.high) if interval is not None else None


def _score_ends(interval: Interval | None) -> Ends | None:
    return interval.score_ends if interval is not None else None


def can_confirm(history: History, settings: SearchSettings) -> bool:
    """Say whether a search has two configurations at least to confirm, and is asked to."""
    return len(choose_candidates(history, settings)) >= 2


def find_earlier_retraining(folder: SearchFolder, best: Winner) -> str:
    """Return where the retraining of another winner lies, begun or ended; empty where there is none.

    Args:
        folder: the search's files.
        best: who has won now; more trials, or a confirmation, may have named another since the retraining began.
    """
    stage = folder.retrain_stage
    trained = next(iter(read_history(stage.journal, best.metric).in_order), None)
    return "" if trained is None or best.is_trained_by(trained.values) else stage.address(stage.root)


def find_winner(settings: SearchSettings, folder: SearchFolder) -> Winner:
    """Return the winner by the journals as they are now, whatever `best.json` says.

    Raises:
        CheckpointError: when no trial has a score.
    """
    stages = (folder.search_stage, folder.confirm_stage)
    history, trainings = (read_history(stage.journal, settings.metric) for stage in stages)
    return choose_confirmed(history, trainings, settings, read_folds(folder.folds))


def name_winner(settings: SearchSettings, folder: SearchFolder) -> Winner:
    """Write `best.json` from the journals, and return the winner."""
    found = find_winner(settings, folder)
    write_best(found, folder.best)
    return found
