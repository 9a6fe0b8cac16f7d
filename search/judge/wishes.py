"""What becomes of a person's wish for a trial: the events that fulfil it, or why it cannot be fulfilled.

The driver asks here, and so does a command on a search that nobody runs: there is no second rule to keep equal.
"""

from collections.abc import Sequence
from typing import Literal

from search.judge.asha import Asha
from search.memory.events import Ended, Kept, Pruned
from search.memory.history import History, TrialRecord
from search.memory.outcome import Outcome
from segcore.errors import ConfigError

Wish = Literal["prune", "keep"]


def fulfil(wish: Wish, trial: int, reason: str, history: History, asha: Asha) -> Sequence[Pruned | Kept | Ended]:
    """Return the events that fulfil a wish for a trial.

    Args:
        wish: to end it, or to spare it from ASHA.
        trial: its number.
        reason: who asks, and why.
        history: the search's trials.
        asha: its judge, which has learnt the same events.

    Raises:
        ConfigError: when the trial is not there, or has ended in a way that cannot be changed.
    """
    record = history.trials.get(trial)
    if record is None:
        known = f"it has 0 to {max(history.trials)}" if history.trials else "it has none yet"
        raise ConfigError(f"Trial {trial} is not in this search; {known}.")
    return _prune(record, reason) if wish == "prune" else _keep(record, reason, asha)


def _prune(record: TrialRecord, reason: str) -> Sequence[Pruned | Ended]:
    if record.outcome not in (None, Outcome.STOPPED):
        raise ConfigError(f"Trial {record.number} has ended already ({record.outcome}): there is nothing to prune.")
    pruned = Pruned(trial=record.number, reason=reason)
    # A worker that has it is heard once more, when its epoch is done.
    return (pruned,) if record.running else (pruned, Ended(trial=record.number, outcome=Outcome.PRUNED, message=reason))


def _keep(record: TrialRecord, reason: str, asha: Asha) -> Sequence[Kept]:
    if record.outcome not in (None, Outcome.STOPPED):
        raise ConfigError(f"Trial {record.number} has ended for good ({record.outcome}); keep one that runs or waits.")
    if record.outcome is Outcome.STOPPED and not asha.waits(record.number):
        raise ConfigError(
            f"Trial {record.number} waits without a checkpoint, which was given up for better trials: it cannot go on. "
            "Its configuration can be tried anew by 'launch --seed-config'."
        )
    return (Kept(trial=record.number, reason=reason),)
