"""In which condition and on which classes the winner fails, in words; the numbers are of `conditions`, `weakness`."""

from collections.abc import Sequence
from typing import Final

from search.insight.answer import Answer, model_commands
from search.insight.conditions import Conditions, measure_conditions
from search.insight.record import Record
from search.insight.weakness import PartScore, Weakness, find_weakness
from search.insight.words import describe_condition, enumerate_words
from search.memory.outcome import FAILURES, tell_end
from segcore.counting import count_words
from segcore.data.names import list_first

_TOLD_CLASSES: Final = 3
_REASON_LETTERS: Final = 200


def answer_weakness(record: Record) -> Answer:
    """Say in which condition and on which classes the winner fails."""
    measured, found = measure_conditions(record), find_weakness(record)
    if measured is not None:
        return _answer_conditions(record, measured)
    worst = found.conditions[0] if found is not None and len(found.conditions) > 1 else None
    question = f"What fails {describe_condition(worst.name)}?" if worst is not None else "What fails?"
    if found is None:
        return _answer_unscored(record, question)
    told = _tell_classes(found.classes)
    if worst is not None:
        best = found.conditions[-1]
        at_worst, at_best = describe_condition(worst.name), describe_condition(best.name)
        told.insert(0, f"iou is {worst.score:.3f} {at_worst}, and {best.score:.3f} {at_best}")
    return Answer(
        topic="weakness",
        question=question,
        sentence=". ".join(told) + ("." if told else "One score, no classes or conditions."),
        certainty=_tell_weakness(found),
        commands=_show_errors(record) if record.is_model_current else (),
    )


def _answer_unscored(record: Record, question: str) -> Answer:
    failed = next((trial for trial in record.history.in_order if trial.outcome in FAILURES), None)
    if failed is None:
        certainty = "The first epoch brings a score."
        return Answer(topic="weakness", question=question, sentence="Nothing was scored yet.", certainty=certainty)
    why = tell_end(failed.message, _REASON_LETTERS) or "it does not say why"
    return Answer(
        topic="weakness",
        question=question,
        sentence=f"Nothing was scored yet. Trial {failed.number}, {failed.outcome}: {why.rstrip('.')}.",
        certainty="That is what the first that failed says; others may say something else.",
        commands=(record.folder.command("status"),),
    )


def _tell_classes(classes: Sequence[PartScore]) -> list[str]:
    worst = [f"{each.name} {each.score:.3f}" for each in classes if each.high > 0][:_TOLD_CLASSES]
    told = [f"The classes that fare worst are {enumerate_words(worst)}"] if worst else []
    # What is predicted where no image has it scores 0, too, and a journal does not say which images have what.
    never = [each.name for each in classes if each.high == 0]
    told += [f"No pixel of {list_first(never, _TOLD_CLASSES)} was found, or no image there has one"] if never else []
    return told


def _answer_conditions(record: Record, measured: Conditions) -> Answer:
    worst, best = measured.all[0], measured.all[-1]
    known = {name: iou for name, iou in worst.class_ious.items() if name in measured.scored} or worst.class_ious
    classes = [f"{name} {known[name]:.3f}" for name in sorted(known, key=lambda name: known[name])[:_TOLD_CLASSES]]
    within = ""
    if worst.interval is not None:
        low, high = worst.interval.score_ends
        within = f" ({low:.3f} to {high:.3f} over other images)"
    at_worst, at_best = describe_condition(worst.name), describe_condition(best.name)
    return Answer(
        topic="weakness",
        question=f"What fails {at_worst}?",
        sentence=f"iou is {worst.score:.3f}{within} {at_worst}, and {best.score:.3f} {at_best}; of what is scored, the "
        f"worst {at_worst}: {enumerate_words(classes)}.",
        certainty=f"Measured in the retraining on {count_words(worst.images, 'image')} {at_worst} and {best.images} "
        f"{at_best}, each by a network that had not seen it.",
        commands=_show_errors(record),
    )


def _show_errors(record: Record) -> tuple[str, ...]:
    """Return the commands that show what the model does wrong, on the data as the search read them."""
    layout = ["--layout", record.place.layout] if record.place.layout else []
    return model_commands(record, "errors", record.place.data, "errors.html", *layout)


def _tell_weakness(found: Weakness) -> str:
    where = f"Measured {found.where}"
    if found.trainings < 2:
        return f"{where}; of one training: other images and seeds may turn it."
    if len(found.conditions) < 2:
        return f"{where}."
    worst, best = found.conditions[0], found.conditions[-1]
    behind = f"on {found.behind} of {found.trainings} it is behind {best.name}"
    return f"{where}: {worst.name} spreads from {worst.low:.3f} to {worst.high:.3f}, and {behind}."
