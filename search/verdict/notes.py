"""The winner and its scores in words: for the page of a stage in MLflow, and for the terminal."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from search.markdown import plain
from search.memory.best import Confirmation, Winner
from search.verdict.out_of_fold import EnsembleVerdict, OutOfFold
from segcore.counting import count_words

STEERED: Final = "The search was steered by these images, so this score flatters; other images would tell how much."
"""Of validation images that are all there are."""


def confirmation_line(confirmation: Confirmation, metric: str) -> str:
    """Return the winner's score on further folds and what it says about the search's, in a few sentences.

    Args:
        confirmation: what it found.
        metric: what decides.
    """
    interval = confirmation.interval
    within = f" ({interval[0]:.4f} to {interval[1]:.4f} over images)" if interval else ""
    seeds, count = confirmation.further_seeds, confirmation.rounds
    where = f"{'with' if seeds else 'on'} {count} further {'seed' if seeds else 'fold'}{'s' if count > 1 else ''}"
    line = f"The winner's {metric} {where} is {confirmation.score:.4f}{within}; "
    optimism = confirmation.optimism
    line += f"its score in the search was {abs(optimism):.4f} {'higher' if optimism >= 0 else 'lower'}."
    told = f"{confirmation.told.capitalize()}. {STEERED}" if seeds else ""
    sentences = [line, told, _tell_rivals(confirmation.rivals), _tell_choice(confirmation)]
    return " ".join(filter(None, sentences))


def _tell_rivals(rivals: Sequence[int]) -> str:
    if not rivals:
        return ""
    *first, last = map(str, rivals)
    named = f"trials {', '.join(first)} and {last}" if first else f"trial {last}"
    return f"It cannot be told from {named}."


def _tell_choice(confirmation: Confirmation) -> str:
    """Say that the best of several scores is a flattering one, and by how much at most."""
    if confirmation.best_of < 2:
        return ""
    again = "with these seeds" if confirmation.further_seeds else "on these folds"
    told = f"It is the best of {confirmation.best_of} {again}, so this score still flatters"
    bias = confirmation.choice_bias
    if bias is None:
        # As of one fold, or of a second one that a single configuration has a score on.
        return f"{told}; by how much, so few trainings do not say."
    return f"{told}: by about {bias:.4f} were all of them equally good, by less otherwise."


def best_note(best: Winner) -> str:
    """Return the winner as Markdown, for the parent run's page in MLflow."""
    rows = "\n".join(f"| {name} | {plain(value)} |" for name, value in best.values.items())
    title = f"Best: trial {best.trial}, epoch {best.epoch}, {best.metric} {best.score:.4f} on {best.place}"
    note = f"### {plain(title)}\n\n| hyperparameter | value |\n| --- | --- |\n{rows}\n"
    if best.confirmation is None:
        return note
    return f"{note}\n{plain(confirmation_line(best.confirmation, best.metric))}\n"


def out_of_fold_note(result: OutOfFold, search_score: float) -> str:
    """Return the score out of fold as Markdown, for the retraining's page in MLflow."""
    told = _seeds_note(result, search_score) if result.by == "seed" else _folds_note(result, search_score)
    return told if result.ensemble is None else f"{told}\n{_ensemble_note(result.ensemble)}"


def ensemble_line(found: EnsembleVerdict) -> str:
    """Say what came of a selection among several configurations, and what it is worth."""
    asked = len({member.trial for member in found.members})
    among = f"{count_words(len(found.members), 'candidate')} of {count_words(asked, 'configuration')}"
    lacking = "".join(f" {failure[0].upper()}{failure[1:]}: it had no say." for failure in found.failures)
    if not found.kept:
        return (
            f"No choice among {among} surely beat the winner's networks alone ({found.metric} {found.plain:.4f}; "
            f"chosen without the images that they are scored on {found.nested:.4f}): the model is the winner's."
            f"{lacking}"
        )
    return (
        f"Chosen among {among}: {found.metric} {found.nested:.4f} when chosen without the images that they are scored "
        f"on, the winner's networks alone {found.plain:.4f} ({found.nested - found.plain:+.4f}). Chosen on all images "
        f"{found.score:.4f}, which flatters by {found.score - found.nested:+.4f}. {found.networks} networks predict "
        f"each image, one after the other.{lacking}"
    )


def describe_ensemble(found: EnsembleVerdict) -> dict[str, Any]:
    """Return what the notes of a model hold of the selection of its members."""
    return {
        "kept": found.kept,
        "metric": found.metric,
        "expected": found.expected,
        "score": found.score,
        "plain": found.plain,
        "nested": found.nested,
        "told": ensemble_line(found),
        "candidates": [asdict(member) for member in found.members],
    }


def _ensemble_note(found: EnsembleVerdict) -> str:
    rows = "\n".join(
        f"| {member.trial} | {member.snapshot} | {member.weight} | {member.alone:.4f} |" for member in found.members
    )
    title = "Ensemble of several configurations" if found.kept else "The winner alone is the model"
    return (
        f"### {title}\n\n{plain(ensemble_line(found))}\n\n"
        f"| trial | snapshot | weight | {plain(found.metric)} alone |\n| --- | --- | --- | --- |\n{rows}\n"
    )


def _folds_note(result: OutOfFold, search_score: float) -> str:
    rows = "\n".join(f"| {fold} | {score:.4f} |" for fold, score in result.fold_scores.items())
    return (
        f"### Out of fold: {plain(result.metric)} {result.score:.4f} over {result.images} images\n\n"
        f"Over folds {result.fold_mean:.4f} ± {result.spread:.4f}; the search's own score was {search_score:.4f}.\n\n"
        f"| fold | {plain(result.metric)} |\n| --- | --- |\n{rows}\n"
    )


def _seeds_note(result: OutOfFold, search_score: float) -> str:
    rows = "\n".join(f"| {seed} | {score:.4f} |" for seed, score in result.fold_scores.items())
    return (
        f"### On the only validation images: {plain(result.metric)} {result.fold_mean:.4f} of one network\n\n"
        f"Mean over {count_words(len(result.fold_scores), 'seed')} ± {result.spread:.4f}, on "
        f"{count_words(result.images, 'image')}; the search's own score was {search_score:.4f}. "
        f"{STEERED} The networks together are not scored.\n\n"
        f"| seed | {plain(result.metric)} |\n| --- | --- |\n{rows}\n"
    )
