"""Which trainings a retraining asks for: the winner's and further configurations', on every fold or with every seed.

What the confirmation trained as it would be trained here is taken over. What becomes of them all says `retrain`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from search.folder import CONFIRM_FOLDER
from search.judge.progress import RETRIED
from search.memory.best import Configuration, Winner
from search.memory.events import Asked, CheckpointSaved, Ended, Epoch, Reopened
from search.memory.history import TrialRecord
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from segcore.errors import CheckpointError

_ABOVE: Final = f"../{CONFIRM_FOLDER}/"
"""Where files of the confirmation lie, from the retraining's folder."""


def plan_folds(
    journal: Journal,
    best: Winner,
    folds: int,
    confirmed: Mapping[tuple[int, int], TrialRecord] | None = None,
    seeds: Sequence[int] = (),
) -> None:
    """Ask for one training per fold that the journal has not; one that failed goes on, one that diverged begins anew.

    Args:
        journal: the retraining's memory.
        best: the winner.
        folds: number of folds.
        confirmed: by fold and seed, what the confirmation trained already; it is taken over as it is.
        seeds: where there is one fold, those to train it with; else it is the winner's own.

    Raises:
        CheckpointError: when the journal is of another winner.
    """
    places = [(0, seed) for seed in seeds] or [(fold, best.values["seed"]) for fold in range(folds)]
    for number, (fold, seed) in enumerate(places):
        known, values = journal.history.trials.get(number), {**best.values, "seed": seed}
        training = (confirmed or {}).get((fold, seed))
        if known is not None and known.values != values:
            raise CheckpointError(
                f"{journal.file.parent} retrains another winner than best.json names now; "
                "move that folder away to retrain the new one."
            )
        if known is not None and known.outcome in RETRIED:
            journal.write(Reopened(trial=number))
        elif _is_to_begin(known, training):
            asked = Asked(trial=number, fold=fold, values=values, params={})
            if training is None:
                journal.write(asked)
            else:
                _take_over(journal, asked, training)


def plan_further(journal: Journal, configurations: Sequence[Configuration]) -> None:
    """Ask for the trainings of further configurations on the winner's folds, or with as many seeds.

    Args:
        journal: the retraining's memory, which has the winner's trainings already.
        configurations: those beside the winner's.
    """
    of_winner = [trial for trial in journal.history.in_order if trial.source is None]
    for configuration in configurations:
        known = {
            (trial.fold, trial.values["seed"]): trial
            for trial in journal.history.in_order
            if trial.source == configuration.trial
        }
        for like in of_winner:
            shift = like.values["seed"] - of_winner[0].values["seed"]
            values = {**configuration.values, "seed": (configuration.values["seed"] + shift) % 2**31}
            trial = known.get((like.fold, values["seed"]))
            if trial is not None and trial.outcome in RETRIED:
                journal.write(Reopened(trial=trial.number))
            elif trial is None or trial.outcome not in (None, Outcome.FINISHED):
                number = journal.history.next_number if trial is None else trial.number
                source = configuration.trial
                journal.write(Asked(trial=number, fold=like.fold, values=values, params={}, source=source))


def _is_to_begin(known: TrialRecord | None, training: TrialRecord | None) -> bool:
    """Say whether a training is to be asked for, or to be taken over whole.

    Args:
        known: what the retraining has of it.
        training: what the confirmation has of it, finished.
    """
    if known is None or known.outcome is not None:
        return known is None or known.outcome is not Outcome.FINISHED
    # Who was killed while it was taken over left a part of it, at most with the confirmation's own checkpoint.
    return training is not None and (known.checkpoint is None or known.checkpoint.startswith(_ABOVE))


def _take_over(journal: Journal, asked: Asked, training: TrialRecord) -> None:
    """Write what the confirmation trained as if it had been trained here, with its own times."""
    number = asked.trial
    journal.write(replace(asked, time=training.started, copy_of=training.number))
    first = min(training.epochs, default=0)
    for epoch, record in sorted(training.epochs.items()):
        picture = _ABOVE + record.picture if record.picture is not None else None
        shown = {key: _ABOVE + file for key, file in record.pictures.items()}
        journal.write(
            Epoch(
                trial=number,
                epoch=epoch,
                metrics=dict(record.metrics),
                picture=picture,
                pictures=shown,
                note=training.note if epoch == first else "",
                time=record.time,
            )
        )
    if training.checkpoint is not None:
        journal.write(CheckpointSaved(trial=number, epoch=training.checkpoint_epoch, path=_ABOVE + training.checkpoint))
    message = f"trained in the confirmation, as its training {training.number}"
    ended = training.ended if training.ended is not None else training.started
    journal.write(Ended(trial=number, outcome=Outcome.FINISHED, message=message, time=ended))
