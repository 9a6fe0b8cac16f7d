"""The beginning of a report: large figures, and the six questions with their answers."""

from search.insight.cost import account_stages, name_device_hours
from search.insight.words import describe_seconds
from search.memory.history import count_ends
from search.report.matter import Matter, command_block
from segcore.insight.page import Markup, Section, element, headline, join, paragraph


def lead(matter: Matter, made: str) -> Markup:
    """Return what stands above everything: what was searched, how far it is, large figures.

    Args:
        matter: of the report.
        made: when the report was made, in words.
    """
    record, history = matter.record, matter.history
    stages = account_stages(record)
    is_over = history.closed is not None or history.is_vain(record.settings.trials)
    # Of a confirmation that is closed what fell behind may never have come to its end.
    further = [each for each in (record.confirmation, record.retraining) if each.trials]
    has_ended = is_over and not history.unfinished and all(each.closed is not None for each in further)
    state = "Its trials have ended" if has_ended else "It has not come to its end: what follows may change"
    told = count_ends(history.in_order) or "no trial has begun"
    figures = [
        ("trials", f"{len(history.trials)} of {record.settings.trials}"),
        (name_device_hours(record.place), _describe_hours(sum(each.device_hours for each in stages))),
        ("on the clock", describe_seconds(sum(each.seconds for each in stages))),
    ]
    return join(
        [
            paragraph(f"{state} ({told}). Space {record.settings.space}, data {record.place.data}. Made {made}."),
            headline([*_scores(matter), *figures]),
        ]
    )


def questions(matter: Matter) -> Section:
    """Return the six questions."""
    parts = [
        element(
            "div",
            join(
                [
                    element("h3", answer.question),
                    paragraph(answer.sentence),
                    paragraph(f"How sure: {answer.certainty}", "hint"),
                    command_block(answer.commands),
                ]
            ),
            "answer",
        )
        for answer in matter.answers
    ]
    return Section(
        title="Six questions",
        hint="What most people ask of a search, and how sure the answers are.",
        content=element("div", join(parts), "answers"),
    )


def _scores(matter: Matter) -> list[tuple[str, str]]:
    record, metric = matter.record, matter.metric
    found = [(f"{metric} in the search", f"{record.best.score:.4f}")] if record.best is not None else []
    if record.confirmed is not None:
        found.append((f"{metric} confirmed", f"{record.confirmed.score:.4f}"))
    closed = record.winner_retraining
    if closed is not None and metric in closed.metrics:
        by = "out of fold" if record.settings.folds > 1 else "over seeds"
        found.append((f"{metric} {by}", f"{closed.metrics[metric]:.4f}"))
    return found


def _describe_hours(hours: float) -> str:
    return f"{hours:.1f}" if hours >= 1 else f"{hours:.2f}"
