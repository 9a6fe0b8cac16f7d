"""What `status` shows beside the trials: scores by name, what each stage took, and the six answers."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from search.commands.documents import StatusDocument
from search.commands.filling import fill_status
from search.commands.reading import RUNNING, Look
from search.folder import STAGE_TITLES
from search.insight.answer import Answer
from search.insight.answers import answer_choices, answer_cost, answer_luck, answer_stops, answer_use
from search.insight.importance import Importance
from search.insight.weakness_answer import answer_weakness
from search.insight.words import describe_seconds, enumerate_words
from segcore.counting import count_words


def scores_table(look: Look) -> Table:
    """Return the best scores, each with its name and how far it may be believed."""
    document = fill_status(look)
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False, title="Scores", title_justify="left")
    for column in ("name", "score", "told"):
        table.add_column(column, overflow="fold", no_wrap=column == "score")
    for row in (_best_row(document), _confirmed_row(document, look), _out_of_fold_row(document, look)):
        if row is not None:
            table.add_row(*row)
    return table


def cost_table(look: Look) -> Table:
    """Return what each stage took, and all together."""
    document = fill_status(look)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="What it took", title_justify="left")
    for name in ("stage", "trainings", "workers' time", document.device):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for line in document.stages:
        time_told = describe_seconds(line.worker_seconds)
        table.add_row(STAGE_TITLES[line.stage], str(line.trainings), time_told, f"{line.device_hours:.2f}")
    if len(document.stages) > 1:
        seconds, hours = (
            sum(line.worker_seconds for line in document.stages),
            sum(line.device_hours for line in document.stages),
        )
        trainings = sum(line.trainings for line in document.stages)
        table.add_row("together", str(trainings), describe_seconds(seconds), f"{hours:.2f}", style="bold")
    return table


def stage_line(look: Look) -> str:
    """Say how far a confirmation or a retraining is that a process runs; empty when none does."""
    if look.driven not in ("confirm", "retrain"):
        return ""
    record = look.record
    trainings = record.stages.get(look.driven)
    known = trainings.in_order if trainings is not None else []
    ended, running = sum(trial.outcome is not None for trial in known), sum(trial.running for trial in known)
    left = look.seconds_left
    parts = [
        f"{RUNNING[look.driven]}: {ended} of {count_words(look.planned_trainings, 'training')} ended, {running} running"
    ]
    if look.driven == "confirm":
        parts[0] = parts[0].replace("of ", "of at most ", 1)
    return "  ·  ".join([*parts, *([f"about {describe_seconds(left)} left"] if left else [])])


def answer_lines(look: Look) -> list[Text]:
    """Return the questions that everyone asks, with their answers; what mattered takes longer, see `--importance`."""
    record = look.record
    asked = (answer_luck, answer_cost, answer_stops, answer_weakness, answer_use)
    return [_tell_answer(answer(record)) for answer in asked]


def choices_line(look: Look, importances: Sequence[Importance]) -> Text:
    """Return what is known of which hyperparameters matter, also where it is too little to measure."""
    return _tell_answer(answer_choices(look.record, importances))


def _tell_answer(answer: Answer) -> Text:
    told = Text(f"{answer.question} ", style="bold").append(answer.sentence, style="not bold")
    return told.append(f" {answer.certainty}", style="not bold dim")


def _best_row(document: StatusDocument) -> tuple[str, str, str] | None:
    best = document.best
    if best is None:
        return None
    others = {name: best.metrics[name] for name in ("iou", "miou") if name in best.metrics and name != document.metric}
    told = "".join(f"; its {name} {score:.4f}" for name, score in others.items())
    where = f"trial {best.trial} after epoch {best.epoch}, the best of {len(document.trials)}{told}"
    return "best in the search", f"{document.metric} {best.score:.4f}", where


def _confirmed_row(document: StatusDocument, look: Look) -> tuple[str, str, str] | None:
    found = document.confirmed
    if found is None:
        return None
    rounds = count_words(found.rounds, "further fold" if look.record.settings.folds > 1 else "further seed")
    within = f", {found.low:.4f} to {found.high:.4f}" if found.low is not None and found.high is not None else ""
    rivals = enumerate_words([str(each) for each in found.rivals], "or")
    doubt = f"; cannot be told from {rivals}" if rivals else ""
    return "confirmed", f"{document.metric} {found.score:.4f}", f"trial {found.trial} on {rounds}{within}{doubt}"


def _out_of_fold_row(document: StatusDocument, look: Look) -> tuple[str, str, str] | None:
    found = document.out_of_fold
    if found is None or found.score is None:
        return None
    spread = _describe_spread(found.trainings)
    whose = "" if found.of_winner else " of an earlier winner"
    return "out of fold", f"{document.metric} {found.score:.4f}", f"the retraining{whose}{spread}"


def _describe_spread(scores: Sequence[float]) -> str:
    return f": {min(scores):.4f} to {max(scores):.4f} over {len(scores)} trainings" if len(scores) > 1 else ""
