"""The finished trainings of a retraining: which configuration each is of, and the files in their checkpoints."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from search.folder import StageFolder
from search.memory.events import Asked, Warned
from search.memory.history import History, TrialRecord
from search.memory.journal import Journal
from search.memory.outcome import Outcome, tell_end, tell_last_line
from search.run.trial import STATE_FILE
from search.settings import describe_damage
from segcore.errors import CheckpointError
from segcore.regular import read_regular
from segcore.scoring.metrics import ImageScore
from segcore.scoring.score_text import SCORES_FILE, decode_scores
from segcore.training.checkpoint import read_member_weights, require_readable


def group_trainings(history: History, winner: int) -> dict[int, list[TrialRecord]]:
    """Return the trainings of each configuration, by the search's trial; the winner's, which name none, first.

    Args:
        history: the retraining's trials.
        winner: number of the winner in the search.
    """
    found: dict[int, list[TrialRecord]] = {winner: []}
    for trial in history.in_order:
        found.setdefault(winner if trial.source is None else trial.source, []).append(trial)
    return found


def winner_trainings(history: History) -> list[TrialRecord]:
    """Return the trainings of the winner, one for each fold, or for each seed on the only one.

    Raises:
        CheckpointError: when one has not finished.
    """
    trials = [trial for trial in history.in_order if trial.source is None]
    for trial in trials:
        if trial.outcome is not Outcome.FINISHED:
            said = f"{trial.outcome}: {tell_end(trial.message)}" if trial.outcome else "it has not finished"
            raise CheckpointError(
                f"Fold {trial.fold} was not retrained ({said}); mend the cause and run the retraining again."
            )
    return trials


def find_failure(trainings: Sequence[TrialRecord]) -> str:
    """Say which of a configuration's trainings has no network and why; empty when all have."""
    for trial in trainings:
        if trial.outcome is not Outcome.FINISHED:
            return f"fold {trial.fold}: {trial.outcome or 'not finished'} {tell_last_line(trial.message)}".rstrip()
    return ""


def fetch(folder: StageFolder, trial: TrialRecord, file: str) -> Path:
    """Return a file of a training's checkpoint, brought to this machine.

    Raises:
        CheckpointError: when it is missing.
        StorageError: when the bucket cannot be read.
    """
    if trial.checkpoint is None or not folder.has(trial.checkpoint, file):
        raise CheckpointError(
            f"The checkpoint of fold {trial.fold} is missing ({trial.checkpoint}); restore it, or train that fold anew "
            f"by '{folder.command('retrain')}'."
        )
    return folder.fetch(trial.checkpoint, file)


def ask_damaged_anew(journal: Journal, folder: StageFolder, classes: int) -> None:
    """Ask again for the finished trainings whose checkpoint the model could not be made of.

    Args:
        journal: the retraining's memory.
        folder: its files.
        classes: how many there are.

    Raises:
        CheckpointError: when a disk or share does not give what is there.
        StorageError: when the bucket cannot be read.
    """
    for trial in journal.history.in_order:
        # Those of further configurations may stay where they are: a worker reads them.
        is_winners = trial.source is None
        if trial.outcome is Outcome.FINISHED and not is_usable(folder, trial, classes, whole=is_winners):
            told = f"The checkpoint of fold {trial.fold} ({trial.checkpoint}) is missing or damaged"
            journal.write(Warned(message=f"{told}; it is trained anew."))
            again = Asked(trial=trial.number, fold=trial.fold, values=trial.values, params=trial.params)
            journal.write(replace(again, source=trial.source))


def is_usable(folder: StageFolder, trial: TrialRecord, classes: int, *, whole: bool = True) -> bool:
    """Say whether a finished training's checkpoint has a network and scores.

    Args:
        folder: files of its stage.
        trial: the training.
        classes: how many there are.
        whole: whether they are read; else it is enough that they are there.

    Raises:
        CheckpointError: when a disk or share does not give what is there.
        StorageError: when the bucket cannot be read.
    """
    files = (STATE_FILE, SCORES_FILE)
    if trial.checkpoint is None or not all(folder.has(trial.checkpoint, file) for file in files):
        return False
    if not whole:
        return True
    for file in files:
        require_readable(folder.fetch(trial.checkpoint, file))
    try:
        read_member_weights(folder.fetch(trial.checkpoint, STATE_FILE))
        read_scores(folder, trial, classes)
    except CheckpointError:
        return False
    return True


def read_scores(folder: StageFolder, trial: TrialRecord, classes: int) -> list[ImageScore]:
    """Return the scores of a training's validation images.

    Args:
        folder: files of the retraining.
        trial: the training.
        classes: how many there are.

    Raises:
        CheckpointError: when the checkpoint is missing, or its scores are damaged.
    """
    file = fetch(folder, trial, SCORES_FILE)
    try:
        stored = decode_scores(read_regular(file), classes)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{file} cannot be read ({describe_damage(error)}); restore it, or train that fold anew by "
            f"'{folder.command('retrain')}'."
        ) from error
    return [
        ImageScore(
            name=each.name,
            condition=each.condition,
            iou=each.iou,
            confusion_CP=each.confusion_CP,
            boundary_C2=each.boundary_C2,
        )
        for each in stored
    ]
