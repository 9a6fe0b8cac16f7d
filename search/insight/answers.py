"""The six questions that everyone asks of a search, each answered in a sentence, and how sure that is.

The same words stand in the report, on the search's page in MLflow and in `status`. They follow from what a search has
left in its folder (see `record`), also while it runs; what fails is told in `weakness_answer`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from search.folder import STAGE_TITLES
from search.insight.answer import Answer, model_commands, model_of
from search.insight.choices import ValueStanding, compare_values, list_choices
from search.insight.cost import StageCost, account_stages, count_spared_epochs, name_device_hours
from search.insight.grace import read_whole_curves, suggest_grace
from search.insight.importance import CHANCE, FEWEST_TRIALS, Importance, measure_importance
from search.insight.record import Record
from search.insight.spending import count_stops
from search.insight.weakness_answer import answer_weakness
from search.insight.words import describe_seconds, describe_values, enumerate_words
from search.memory.best import Confirmation
from search.memory.history import count_ends
from search.memory.outcome import FAILURES, Outcome
from search.verdict.notes import confirmation_line
from search.verdict.selection import choose_candidates
from segcore.counting import count_words

_TOLD_CHOICES: Final = 3


def answer_questions(record: Record, importances: Sequence[Importance] | None = None) -> list[Answer]:
    """Answer all six.

    Args:
        record: of the search.
        importances: as `measure_importance` returns them; None: they are measured, which takes some seconds.
    """
    if importances is None:
        importances = measure_importance(record.history, record.settings.epochs)
    return [
        answer_choices(record, importances),
        answer_luck(record),
        answer_cost(record),
        answer_stops(record),
        answer_weakness(record),
        answer_use(record),
    ]


def answer_choices(record: Record, importances: Sequence[Importance]) -> Answer:
    """Say which hyperparameters matter and which value of each ranks highest.

    Args:
        record: of the search.
        importances: as `measure_importance` returns them; empty when too few trials tell.
    """
    chance = next((each for each in importances if each.name == CHANCE), None)
    telling = [each for each in importances if chance is not None and each.low > chance.high]
    choices = list_choices(record.history)
    asked = [each.name for each in telling[:_TOLD_CHOICES]]
    # The network is what most people ask for, whether it matters or not.
    asked += [name for name in ("backbone",) if name in choices and name not in asked]
    standings = {name: compare_values(record.history, name, record.settings.epochs) for name in asked or choices[:1]}
    told = [_tell_values(name, values) for name, values in standings.items() if values]
    if telling:
        explained = enumerate_words([f"{each.name} ({each.share:.0%})" for each in telling])
        sentence = f"How trials rank is explained by {explained}"
    elif chance is not None:
        sentence = "No hyperparameter can be told from chance"
    else:
        sentence = "Too few trials have ended to say which hyperparameter matters"
    return Answer(
        topic="choices",
        question="Which backbone matters, which hyperparameters do?"
        if "backbone" in choices
        else "Which hyperparameters matter?",
        sentence=". ".join([sentence, *told]) + ".",
        certainty=_tell_importance(importances, chance, telling),
        commands=(record.folder.command("status", "--importance"),),
    )


def answer_luck(record: Record) -> Answer:
    """Say whether the winner won by luck."""
    question, best = "Was the winner luck?", record.best
    if best is None:
        ends = count_ends(record.history.in_order) or "none has begun"
        return Answer(topic="luck", question=question, sentence="Nobody has won yet.", certainty=f"Trials: {ends}.")
    if record.confirmed is not None:
        return Answer(
            topic="luck",
            question=question,
            sentence=f"{_tell_verdict(record.confirmed)}. Trial {best.trial} won ({describe_values(best.values)}).",
            certainty=confirmation_line(record.confirmed, record.metric),
            commands=_closer_look(record, best.trial, record.confirmed),
        )
    return Answer(
        topic="luck",
        question=question,
        sentence=f"Nobody knows yet: trial {best.trial} ({describe_values(best.values)}) is the best of "
        f"{count_words(len(record.history.eligible), 'score')} on {best.place} alone.",
        certainty=f"Its {record.metric} {best.score:.4f} flatters, as the best of many does{_tell_lead(record)}.",
        commands=_confirming(record),
    )


def answer_cost(record: Record) -> Answer:
    """Say what all stages cost, and what ASHA spared."""
    stages, unit = account_stages(record), name_device_hours(record.place)
    hours, seconds = sum(each.device_hours for each in stages), sum(each.seconds for each in stages)
    parts = enumerate_words([f"{STAGE_TITLES[each.stage]} {each.device_hours:.2f}" for each in stages])
    spared, trained = count_spared_epochs(record), sum(each.epochs for each in stages if each.stage == "search")
    share = f"; ASHA spared {spared / max(1, spared + trained):.0%} of the epochs that its trials would have taken"
    return Answer(
        topic="cost",
        question="What did it cost?",
        sentence=f"{hours:.2f} {unit} ({parts or 'nothing yet'}) in {describe_seconds(seconds)} on the clock"
        f"{share if spared else ''}.",
        certainty=_tell_uncounted(record, stages),
    )


def answer_stops(record: Record) -> Answer:
    """Say what was stopped or failed, and why."""
    history, stops = record.history, count_stops(record.history)
    after = enumerate_words([f"{count} after epoch {epoch}" for epoch, count in stops.items()])
    revived = len({stop.trial for stop in record.stops.taken_up})
    told = [
        f"ASHA stopped {sum(stops.values())} of {count_words(len(history.trials), 'trial')} ({after}): not among the "
        f"best {_name_share(record.settings.reduction_factor)} there"
        if stops
        else "ASHA stopped no trial"
    ]
    promoted = f"{count_words(revived, 'stopped trial')} went on later, promoted as others ended up behind"
    told += [promoted] if revived else []
    failed = [trial for trial in history.in_order if trial.outcome in (*FAILURES, Outcome.OVER_LIMIT)]
    told += [f"for good: {count_ends(failed)}"] if failed else []
    return Answer(
        topic="stops",
        question="What was stopped, and why?",
        sentence="; ".join(told) + ".",
        certainty=_tell_agreement(record),
        commands=(record.folder.command("replay"),) if stops else (),
    )


def answer_use(record: Record) -> Answer:
    """Say how the model is used, or how one is made."""
    name, question = record.settings.name, "How do I use the model?"
    if not record.retrained or record.retraining.closed is None:
        done = record.best is not None
        return Answer(
            topic="use",
            question=question,
            sentence="There is no model yet; a retraining of the winner on all folds makes it."
            if done
            else "There is no model yet, nor a winner to make one of.",
            certainty="best.json holds the configuration." if done else "See how far the search is.",
            commands=(record.folder.command("retrain" if done else "status"),),
        )
    score = record.retraining.closed.metrics.get(record.metric)
    told = f"Expect {record.metric} {score:.4f} on images like these" if score is not None else "Its score is unknown"
    # Its journal names whom it is of, so the model alone is not enough.
    away = record.folder.search_stage.address(record.folder.retrain_stage.root)
    older = f". It is of an earlier winner: move {away} away and retrain for the new one"
    older = "" if record.is_model_current else older
    commands = *model_commands(record, "predict", "IMAGES", "OUT"), record.folder.command("fetch", "FOLDER")
    return Answer(
        topic="use",
        question=question,
        sentence=f"It is one folder, {model_of(record)}, and models:/{name}@champion in MLflow: give it images, get "
        "masks.",
        certainty=f"{told}{_tell_spread(record)}{older}.",
        commands=tuple(dict.fromkeys(commands)),
    )


def _tell_values(name: str, values: Sequence[ValueStanding]) -> str:
    first, second = values[0], values[1]
    sure = f"first in {first.leads:.0%} of resamples" if first.leads else "of too few trials to tell"
    return (
        f"Of {name}, {first.value} ranks highest ({count_words(first.trials, 'trial')}, {sure}), "
        f"then {second.value} ({second.trials})"
    )


def _tell_importance(
    importances: Sequence[Importance], chance: Importance | None, telling: Sequence[Importance]
) -> str:
    if chance is None:
        return f"Importance is told from {FEWEST_TRIALS} trials on that ended and do not all rank alike."
    ranges = enumerate_words([f"{each.name} {each.low:.0%} to {each.high:.0%}" for each in telling])
    lost = [each.name for each in importances if each is not chance and each not in telling]
    told = f"Over resamples {ranges}; a" if telling else "A"
    rest = f", so nothing is said of {enumerate_words(lost)}" if lost else ""
    return f"{told} random number reaches up to {chance.high:.0%}{rest}."


def _tell_lead(record: Record) -> str:
    scores = [trial.best.score for trial in record.history.eligible if trial.best]
    return f"; it is {scores[0] - scores[1]:.4f} ahead of the second" if len(scores) > 1 else ""


def _tell_verdict(confirmed: Confirmation) -> str:
    if confirmed.rivals:
        return "It may be: others cannot be told from it"
    if confirmed.rounds == 1:
        # Intervals over images do not cover the luck of a training, and one fold says nothing of it.
        once = "with one further seed" if confirmed.further_seeds else "on one further fold"
        return f"Probably not: it was trained anew {once}, and stays ahead"
    return "No: it was trained anew, and stays ahead"


def _confirming(record: Record) -> tuple[str, ...]:
    """Return the command that confirms; a search that goes on does so by itself at its end."""
    settings = record.settings
    if record.history.unfinished or len(choose_candidates(record.history, replace(settings, confirm=2))) < 2:
        return ()
    options = () if settings.confirm > 1 else ("--top", "3")
    return (record.folder.command("confirm", *options),)


def _closer_look(record: Record, winner: int, confirmed: Confirmation) -> tuple[str, ...]:
    """Return the command that trains winner and rivals on one further fold, or seed, more than now."""
    has_more = record.settings.folds == 1 or confirmed.rounds + 1 < record.settings.folds
    # Who has no rival is trained no further.
    if not has_more or not confirmed.rivals:
        return ()
    # Whoever is left out would lose: of the best at least as many as hold all of them, who may have been overtaken.
    wanted = {winner, *confirmed.rivals}
    ranks = [rank for rank, trial in enumerate(record.history.eligible, start=1) if trial.number in wanted]
    top = max(ranks, default=0)
    options = ("--top", str(top)) if top > record.settings.confirm else ()
    return (record.folder.command("confirm", *options, "--folds", str(confirmed.rounds + 1)),)


def _name_share(factor: int) -> str:
    return {2: "half", 3: "third", 4: "quarter"}.get(factor, f"1 of {factor}")


def _tell_uncounted(record: Record, stages: Sequence[StageCost]) -> str:
    restarts = sum(trial.restarts for history in record.stages.values() for trial in history.in_order)
    again = f" and what {count_words(restarts, 'restart')} had trained again" if restarts else ""
    idle = sum(each.seconds for each in stages)
    at_once = f"; on average {sum(each.worker_seconds for each in stages) / idle:.1f} trained at once" if idle else ""
    is_going = any(history.unfinished and history.closed is None for history in record.stages.values())
    going = "; it goes on" if is_going else ""
    return f"Measured by the workers: training and validation, without their start{again}{at_once}{going}."


def _tell_agreement(record: Record) -> str:
    grace, first = suggest_grace(read_whole_curves(record.history)), record.settings.resolved_grace_epochs
    if grace.suggested_epochs is None or len(grace.agreements) < first:
        ended = f"only {count_words(grace.trials, 'trial')} ran" if grace.trials else "no trial has run"
        return f"Whether that was right nobody knows: {ended} to the end."
    tau = grace.agreements[first - 1]
    return (
        f"Of {count_words(grace.trials, 'whole training')}, {(1 + tau) / 2:.0%} of the pairs stood after epoch {first} "
        "as they did in the end; those are the ones that ASHA let pass, more alike than all."
    )


def _tell_spread(record: Record) -> str:
    scores = [training.epochs[training.last_epoch].score for training in record.winner_trainings if training.epochs]
    known = [score for score in scores if score == score]
    if len(known) < 2:
        return ""
    word = "folds" if record.settings.folds > 1 else "seeds"
    return f", from {min(known):.4f} to {max(known):.4f} over {word}; together its networks were not scored"
