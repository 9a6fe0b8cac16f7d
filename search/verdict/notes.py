"""The winner and its scores in words: for the page of a stage in MLflow, and for the terminal."""

from typing import Any, Final

from search.memory.best import metric_of, place_of, score_of
from search.verdict.out_of_fold import OutOfFold

STEERED: Final = "The search was steered by these images, so this score flatters; other images would tell how much."
"""Of validation images that are all there are."""


def confirmation_line(confirmation: dict[str, Any], metric: str) -> str:
    """Return the winner's score on further folds and what it says about the search's, in a few sentences.

    Args:
        confirmation: what `best.json` holds of it.
        metric: what decides.
    """
    interval = confirmation["interval"]
    within = f" ({interval[0]:.4f} to {interval[1]:.4f} over images)" if interval else ""
    seeds = confirmation.get("further_seeds", [])
    count = len(seeds or confirmation["folds"])
    where = f"{'with' if seeds else 'on'} {count} further {'seed' if seeds else 'fold'}{'s' if count > 1 else ''}"
    line = f"The winner's {metric} {where} is {confirmation['score']:.4f}{within}; "
    line += f"its score in the search was {confirmation['optimism']:+.4f} from that."
    rivals = ", ".join(str(number) for number in confirmation["rivals"])
    told = f"{confirmation['told'].capitalize()}. {STEERED}" if seeds else ""
    sentences = [line, told, f"It cannot be told from trial {rivals}." if rivals else "", _tell_choice(confirmation)]
    return " ".join(filter(None, sentences))


def _tell_choice(confirmation: dict[str, Any]) -> str:
    """Say that the best of several scores is a flattering one, and by how much at most."""
    if confirmation["best_of"] < 2:
        return ""
    again = "with these seeds" if confirmation.get("further_seeds") else "on these folds"
    told = f"It is the best of {confirmation['best_of']} {again}, so this score still flatters"
    bias = confirmation["choice_bias"]
    if bias is None:
        return f"{told}; by how much, one {'seed' if confirmation.get('further_seeds') else 'fold'} does not say."
    return f"{told}: by about {bias:.4f} were all of them equally good, by less otherwise."


def best_note(best: dict[str, Any]) -> str:
    """Return the winner as Markdown, for the parent run's page in MLflow."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in best["values"].items())
    metric = metric_of(best)
    title = f"Best: trial {best['trial']}, epoch {best['epoch']}, {metric} {score_of(best):.4f} on {place_of(best)}"
    note = f"### {title}\n\n| choice | value |\n| --- | --- |\n{rows}\n"
    return f"{note}\n{confirmation_line(best['confirmation'], metric)}\n" if "confirmation" in best else note


def out_of_fold_note(result: OutOfFold, search_score: float) -> str:
    """Return the score out of fold as Markdown, for the retraining's page in MLflow."""
    if result.by == "seed":
        return _seeds_note(result, search_score)
    rows = "\n".join(f"| {fold} | {score:.4f} |" for fold, score in result.fold_scores.items())
    return (
        f"### Out of fold: {result.metric} {result.score:.4f} over {result.images} images\n\n"
        f"Over folds {result.fold_mean:.4f} ± {result.spread:.4f}; the search's own score was {search_score:.4f}.\n\n"
        f"| fold | {result.metric} |\n| --- | --- |\n{rows}\n"
    )


def _seeds_note(result: OutOfFold, search_score: float) -> str:
    rows = "\n".join(f"| {seed} | {score:.4f} |" for seed, score in result.fold_scores.items())
    return (
        f"### On the only validation images: {result.metric} {result.fold_mean:.4f} of one network\n\n"
        f"Mean over {len(result.fold_scores)} seed(s) ± {result.spread:.4f}, on {result.images} images; the search's "
        f"own score was {search_score:.4f}. {STEERED} The networks together are not scored.\n\n"
        f"| seed | {result.metric} |\n| --- | --- |\n{rows}\n"
    )
