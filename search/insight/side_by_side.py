"""Two searches beside each other: whether their scores may be compared, whose winner is ahead, what they differ in."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from search.insight.record import Record
from search.insight.words import enumerate_words
from search.memory.outcome import Outcome
from search.settings import settings_values
from search.verdict.comparison import Interval, average_images, compare_over_images
from segcore.data.caching.key import own_key
from segcore.data.dividing.split import read_folds
from segcore.errors import CheckpointError
from segcore.regular import read_regular

_NOT_TOLD: Final = {"name", "search_id", "first"}
"""Settings in which any two searches differ, or that no table holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """By how much one winner is ahead of another.

    Args:
        difference: the second's score less the first's, over the images of the folds that both were confirmed on, after
            their last epochs.
        folds: these folds.
        images: how many images they have.
    """

    difference: Interval
    folds: tuple[int, ...]
    images: int


def find_obstacles(first: Record, second: Record) -> list[str]:
    """Return in words what stands against comparing the scores of two searches; nothing when they compare."""
    found = []
    if first.metric != second.metric:
        found.append(f"{first.settings.name} is decided by {first.metric}, {second.settings.name} by {second.metric}")
    if _digest_folds(first) != _digest_folds(second):
        found.append("their images are divided into other folds")
    elif first.settings.fold != second.settings.fold:
        found.append(f"trials are scored on fold {first.settings.fold} and on fold {second.settings.fold}")
    ours, theirs = (own_key(record.history.cache_key or "") for record in (first, second))
    if ours != theirs:
        found.append("their data differ, or what was decoded of it")
    return found


def compare_winners(first: Record, second: Record) -> Ahead | None:
    """Return by how much the second winner is ahead of the first.

    Returns:
        None where nothing tells: their scores do not compare, or they were not confirmed on a fold in common.

    Raises:
        CheckpointError: when the folds cannot be read.
    """
    if find_obstacles(first, second) or not first.folder.folds.is_file():
        return None
    ours, theirs = _read_image_scores(first), _read_image_scores(second)
    differences = {
        fold: {name: theirs[fold][name] - ours[fold][name] for name in sorted(ours[fold].keys() & theirs[fold].keys())}
        for fold in sorted(ours.keys() & theirs.keys())
    }
    if not differences or not all(differences.values()):
        return None
    interval = compare_over_images(differences, read_folds(first.folder.folds).block_of)
    if interval is None:
        return None
    images = sum(len(of_fold) for of_fold in differences.values())
    return Ahead(difference=interval, folds=tuple(differences), images=images)


def tell_ahead(first: Record, second: Record) -> str:
    """Return in a sentence or two whose winner is ahead, and how sure that is."""
    if first.best is None or second.best is None:
        return "There are no two winners yet."
    if obstacles := find_obstacles(first, second):
        return f"Their scores cannot be compared: {enumerate_words(obstacles)}."
    ahead = compare_winners(first, second)
    if ahead is None:
        return (
            "Nobody knows whose winner is ahead: they were not confirmed on a fold in common, and scores of the search "
            "flatter. Confirm both on the same folds."
        )
    low, high = ahead.difference.low, ahead.difference.high
    leader = second if low > 0 else first
    folds = "fold" if len(ahead.folds) == 1 else "folds"
    over = f"over {ahead.images} images of {folds} {enumerate_words([str(fold) for fold in ahead.folds])}"
    span = f"{first.metric} of {second.settings.name} less that of {first.settings.name} is {low:+.4f} to {high:+.4f}"
    if low <= 0 <= high:
        return f"Their winners cannot be told apart: {span} {over}, the trained networks as they are."
    return f"The winner of {leader.settings.name} is ahead: {span} {over}, the trained networks as they are."


def list_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what two sets of values differ in, by name; None where one lacks it."""
    names = sorted(first.keys() | second.keys())
    pairs = {name: (first.get(name), second.get(name)) for name in names}
    return {name: (one, other) for name, (one, other) in pairs.items() if one != other}


def list_settings(first: Record, second: Record) -> dict[str, tuple[Any, Any]]:
    """Return the settings that two searches differ in, by name, and the extra data."""
    ours, theirs = (
        # What is trained on beside the data changes what a training learns, and so belongs to what was asked for.
        {**settings_values(record.settings), "extra": ", ".join(map(str, record.place.extra)) or "none"}
        for record in (first, second)
    )
    return {name: pair for name, pair in list_differences(ours, theirs).items() if name not in _NOT_TOLD}


def _digest_folds(record: Record) -> str:
    try:
        return hashlib.sha256(read_regular(record.folder.folds)).hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise CheckpointError(f"{record.folder.folds} cannot be read ({error.strerror or error}).") from error


def _read_image_scores(record: Record) -> dict[int, dict[str, float]]:
    """Return what each image scored in the winner's confirmation after its last epoch, by fold; the mean over seeds."""
    winner = record.best.trial if record.best is not None else None
    of_fold: dict[int, list[dict[str, float]]] = {}
    for each in record.confirmation.in_order:
        scores = each.epochs[each.last_epoch].image_scores if each.epochs else None
        if scores and each.source == winner and each.outcome is Outcome.FINISHED:
            of_fold.setdefault(each.fold, []).append(scores)
    return {fold: average_images(scores) for fold, scores in of_fold.items()}
