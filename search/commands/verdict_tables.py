"""What a person looks at once a search has a winner: its configuration, its confirmation, its score out of fold."""

from typing import Final

from rich import box
from rich.table import Table

from search.commands.tables import describe_score
from search.insight.words import describe_values
from search.judge.pareto import find_front
from search.memory.best import Confirmation, Finalist, Winner
from search.memory.history import History
from search.verdict.notes import STEERED
from search.verdict.out_of_fold import EnsembleVerdict, OutOfFold
from segcore.config import TrainConfig

_DEFAULTS: Final = TrainConfig().values()
_ALWAYS_SHOWN: Final = ("backbone", "decoder", "loss", "input_mode", "learning_rate", "batch_size")
_SIZE_OF_MODE: Final = {"crop": "crop_size", "resize": "scale"}
"""The field that says how large an input is, by input mode."""
_COLUMNS, _FOLD_COLUMNS = 55, 10
"""Of a terminal, that a confirmation takes beside the scores on each fold, and each of these."""
_DIFFERENCES_TOLD: Final = (
    "Differences are intervals that hold together with 95 %; who was called worse was worse in its round."
)


def best_table(best: Winner) -> Table:
    """Return the winner with its scores, and of its configuration what tells it apart from another."""
    table = Table(box=box.SIMPLE, show_header=False, title="Best configuration", title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("trial", f"{best.trial}, epoch {best.epoch}, {best.place}")
    for name in dict.fromkeys((best.metric, "iou", "miou", "miou_scored")):
        if name in best.metrics:
            table.add_row(name, f"{best.metrics[name]:.4f}")
    values = best.values
    telling = {*_ALWAYS_SHOWN, _SIZE_OF_MODE.get(values["input_mode"])}
    shown = {name: value for name, value in values.items() if name in telling or value != _DEFAULTS.get(name)}
    for name, value in shown.items():
        table.add_row(name, f"{value:.6g}" if isinstance(value, float) else str(value))
    if len(shown) < len(values):
        table.add_row("all else", "its default, as 'python -m segcore fields' lists it")
    return table


def confirmation_table(confirmation: Confirmation, columns: int) -> Table:
    """Return how the best configurations did on further folds, or with further seeds on the only one.

    Args:
        confirmation: what it found.
        columns: of the terminal; where they do not hold a score for each fold, the mean stands alone.
    """
    seeds = confirmation.further_seeds
    folds = seeds or confirmation.folds
    folds = folds if _COLUMNS + _FOLD_COLUMNS * len(folds) <= columns else []
    names = [f"seed +{number}" if seeds else f"fold {number}" for number in folds]
    title = confirmation.told.capitalize() if seeds else "Confirmed on further folds"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for name in ("trial", "search", *names, "mean"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("less than the winner's", justify="right", overflow="fold", min_width=len("winner's"))
    table.add_column("verdict", overflow="fold")
    table.caption, table.caption_justify = _DIFFERENCES_TOLD, "left"
    for number, contender in enumerate(confirmation.contenders):
        scores = [contender.fold_scores.get(fold) for fold in folds]
        told = [describe_score(score) for score in (contender.search_score, *scores, contender.score)]
        doubt = f"cannot be told from the winner: {contender.doubt}"
        verdict = contender.dismissed or (doubt if number else "winner")
        table.add_row(str(contender.trial), *told, _describe_difference(contender), verdict)
    return table


def out_of_fold_table(result: OutOfFold, search_score: float) -> Table:
    """Return the score out of fold, its spread, and how much the search's own score flattered."""
    if result.by == "seed":
        return _seeds_table(result, search_score)
    table = Table(box=box.SIMPLE, show_header=False, title="Out of fold", title_justify="left")
    table.add_row(result.metric, f"{result.score:.4f} over {result.images} images")
    table.add_row("per fold", f"mean {result.fold_mean:.4f}, standard deviation {result.spread:.4f}")
    for fold, score in result.fold_scores.items():
        table.add_row(f"fold {fold}", f"{score:.4f}")
    seen = ", ".join(map(str, result.seen_folds))
    own = f"{search_score:.4f}"
    if result.unseen_score == result.unseen_score:
        table.add_row(f"without fold {seen}", f"{result.unseen_score:.4f} (the winner was chosen there)")
        own += f" ({search_score - result.unseen_score:+.4f})"
    else:
        table.add_row(f"without fold {seen}", f"the other folds have no pixel of what {result.metric} counts")
    table.add_row(f"search's own {result.metric}", own)
    _add_metrics(table, result)
    return table


def _seeds_table(result: OutOfFold, search_score: float) -> Table:
    title = "On the only validation images"
    table = Table(box=box.SIMPLE, show_header=False, title=title, title_justify="left")
    told = f"{result.fold_mean:.4f} of one network on {result.images} images, the mean over seeds"
    table.add_row(result.metric, told)
    table.add_row("per seed", f"standard deviation {result.spread:.4f}")
    for seed, score in result.fold_scores.items():
        table.add_row(f"seed {seed}", f"{score:.4f}")
    table.add_row(f"search's own {result.metric}", f"{search_score:.4f} ({search_score - result.fold_mean:+.4f})")
    _add_metrics(table, result)
    table.caption, table.caption_justify = f"{STEERED} The networks together are not scored.", "left"
    return table


def _add_metrics(table: Table, result: OutOfFold) -> None:
    if result.single_class is not None:
        name, guess = result.single_class
        table.add_row("for comparison", f"{guess:.4f} when everything is called {name}")
    for name, value in result.metrics.items():
        if name != result.metric:
            table.add_row(name, f"{value:.4f}")


def ensemble_table(found: EnsembleVerdict) -> Table:
    """Return the candidates of an ensemble and how often each counts, the most often first."""
    title = "Ensemble of several configurations" if found.kept else "The winner alone is the model"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for name in ("trial", "snapshot", f"{found.metric} alone", "weight"):
        table.add_column(name, justify="right", overflow="fold")
    for member in sorted(found.members, key=lambda each: -each.weight):
        table.add_row(str(member.trial), str(member.snapshot), f"{member.alone:.4f}", str(member.weight or "-"))
    return table


def front_table(history: History) -> Table:
    """Return the trials that no other beats in both score and latency, the fastest first."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="No trial is both faster and better", title_justify="left")
    for name in ("trial", "latency", history.metric):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("configuration", overflow="fold")
    for trial in find_front(history):
        shown = (str(trial.number), f"{trial.latency_ms:.1f} ms", f"{trial.best_score:.4f}")
        table.add_row(*shown, describe_values(trial.values))
    return table


def _describe_difference(contender: Finalist) -> str:
    ends = contender.difference or contender.image_difference
    over = "" if contender.difference else " (images alone)"
    return f"{-ends[1]:+.4f} to {-ends[0]:+.4f}{over}" if ends else "-"
