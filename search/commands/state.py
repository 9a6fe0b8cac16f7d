"""How far a search is, in a sentence or two, and how to go on with it."""

from dataclasses import replace

from search.commands.console import console, warn
from search.commands.display import show_failed_trainings
from search.finding import find_driven
from search.folder import SearchFolder
from search.judge.asha import Asha
from search.judge.progress import RETRIED, is_over, replay_search
from search.memory.best import Winner
from search.memory.history import History, count_ends
from search.memory.journal import read_history
from search.memory.outcome import Outcome, tell_end
from search.settings import SearchSettings
from search.verdict.decision import Decision
from search.verdict.race import decide
from search.verdict.rounds import count_trainings, tell_rounds
from search.verdict.selection import (
    can_confirm,
    choose_candidates,
    choose_confirmed,
    choose_contenders,
    find_earlier_retraining,
)
from segcore.counting import count_words
from segcore.data.dividing.split import read_folds


def show_state(
    settings: SearchSettings,
    folder: SearchFolder,
    history: History,
    asha: Asha,
    driven: str | None = None,
    *,
    names_best: bool = True,
) -> None:
    """Say whether a search is running, interrupted, waiting to be confirmed or done.

    Args:
        settings: of the search.
        folder: its files.
        history: its trials.
        asha: its judge, which has learnt the same events.
        driven: name of the stage that a process runs; empty when none does, None: this machine is asked.
        names_best: whether to name the command that shows the winner; not where it was shown.
    """
    if driven is None:
        driven = find_driven(folder)
    if driven == "search":
        console.print("A process runs it now; what is best so far may change.")
        return
    usable, has_ended = choose_candidates(history, replace(settings, confirm=2)), is_over(settings, history, asha)
    if not usable:
        _show_failures(history, folder, has_ended=has_ended)
    # A search that ran out of time is confirmed all the same, and nobody can go on with it meanwhile.
    if not driven and not has_ended:
        _tell_unfinished(settings, folder, history)
    elif usable:
        _show_confirmation(settings, folder, history, driven, has_rivals=len(usable) > 1, names_best=names_best)


def show_unfinished(settings: SearchSettings, folder: SearchFolder) -> None:
    """Say that a run has ended before its search is over, and how to go on; nothing where it is over.

    Args:
        settings: of the run; its time budget may have been granted for this run alone.
        folder: the search's files.
    """
    history, asha = replay_search(settings, folder.search_stage.journal)
    if not is_over(settings, history, asha):
        _tell_unfinished(settings, folder, history)


def _tell_unfinished(settings: SearchSettings, folder: SearchFolder, history: History) -> None:
    budget_seconds = settings.time_budget_seconds
    spent = budget_seconds and history.spent_seconds >= budget_seconds
    again = folder.command("resume", *(["--time-budget", "1h"] if spent else []))
    told = "Its time budget is spent" if spent else "No process runs it"
    warn(f"{told}; go on with '{again}'.")


def _show_failures(history: History, folder: SearchFolder, *, has_ended: bool) -> None:
    """Say why, when trials ended and none can win, and what to do where no other trial is to come."""
    ended = [trial for trial in history.in_order if trial.ended is not None]
    if not ended:
        return
    last = max(ended, key=lambda trial: trial.ended or 0.0)
    said = f"{last.outcome}: {tell_end(last.message)}".rstrip(": ")
    warn(f"No trial can win: {count_ends(history.in_order)}. The last to end, trial {last.number}, {said}")
    if any(trial.outcome in RETRIED for trial in ended):
        again = folder.command("resume", "--retry-failed")
        warn(f"Mend the cause, then try again with '{again}'.")
    elif has_ended and any(trial.outcome is not Outcome.PRUNED for trial in ended):
        warn("They would end so again: launch a search with another limit, another --space or another --set.")


def _show_confirmation(
    settings: SearchSettings,
    folder: SearchFolder,
    history: History,
    driven: str,
    *,
    has_rivals: bool,
    names_best: bool,
) -> None:
    """Say how sure it is who has won, and what is to be done next."""
    if driven == "confirm":
        console.print(f"The best configurations are trained {_name_further(settings)} now; the winner may change.")
        return
    if not can_confirm(history, settings):
        where = "the official val" if settings.split == "official" else f"fold {settings.fold}"
        told = f"The winner is the best on {where} alone, whose score flatters"
        again = f"; '{folder.command('confirm', '--top', '3')}' trains the best {_name_further(settings)}"
        warn(f"{told}{again if has_rivals else ''}.")
        return
    trainings = read_history(folder.confirm_stage.journal, settings.metric)
    show_failed_trainings(settings, folder, history, trainings)
    contenders, split = choose_contenders(history, trainings, settings), read_folds(folder.folds)
    decision = decide(contenders, trainings, settings, split.block_of)
    if decision.pending:
        most = count_words(count_trainings(settings), "training")
        # Those of who was among the best before more trials overtook it are not of these.
        sources = {trial.number for trial in choose_candidates(history, settings)}
        ended = sum(each.source in sources and each.outcome is not None for each in trainings.in_order)
        told = f"{ended} of at most {most}"
        warn(f"The winner is not confirmed {_name_further(settings)} yet ({told}); run '{folder.command('confirm')}'.")
    else:
        best = choose_confirmed(history, trainings, settings, split)
        _show_confirmed(settings, folder, decision, best, driven, names_best=names_best)


def _name_further(settings: SearchSettings) -> str:
    return "on further folds" if settings.folds > 1 else "with further seeds"


def _show_confirmed(
    settings: SearchSettings, folder: SearchFolder, decision: Decision, best: Winner, driven: str, *, names_best: bool
) -> None:
    winner = decision.winner
    if winner is None:
        return
    told = tell_rounds(len(decision.folds), settings).capitalize()
    told += f": trial {winner.trial}, {settings.metric} {winner.score:.4f}"
    everything = "on all folds" if settings.folds > 1 else "with these seeds"
    console.print(f"{told}; '{folder.command('best')}' shows it." if names_best else f"{told}.", soft_wrap=True)
    earlier = find_earlier_retraining(folder, best)
    retraining = read_history(folder.retrain_stage.journal, settings.metric)
    if driven == "retrain":
        console.print(f"It is trained {everything} now.")
    elif earlier:
        warn(f"{earlier} is of an earlier winner; move it away, then '{folder.command('retrain')}' trains this one.")
    elif retraining.trials and retraining.closed is None:
        warn(f"Its training {everything} has not come to its end; '{folder.command('retrain')}' goes on with it.")
    elif model := folder.find_model():
        console.print(f"Trained {everything}: {model}", soft_wrap=True)
    else:
        console.print(f"'{folder.command('retrain')}' trains it {everything}.", soft_wrap=True)


def show_retraining(folder: SearchFolder, best: Winner) -> None:
    """Say by which command the winner is retrained, and what stands in its way."""
    earlier = find_earlier_retraining(folder, best)
    away = f"  (once {earlier}, which is of an earlier winner, is moved away)" if earlier else ""
    console.print(f"retrain:    {folder.command('retrain')}{away}", soft_wrap=True)
