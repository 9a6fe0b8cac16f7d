"""A recorded search as a task: every proposal is trained as the recorded trial nearest to it.

What is honest here, and what it favours:

- A record may be handed out again and again. The score is then a fixed function of the configuration, the same for
  every arm and in every order, as a training's is. Handing each record out once would give the same proposal now the
  best curve and now the worst, by what was asked before, and would push an arm that rightly stays near the best away
  from it. The price: close proposals cost their time and teach nothing. Of equally near records the seed decides.
- A trial that was stopped, or whose worker failed, has no scores after its last epoch. It goes on with the median gain
  that trials with a record made in each further epoch, and never beyond the best that was really recorded there. Ending
  it there would spare arms that stop nothing what they waste. The guess keeps the order that the trials had when it was
  stopped, so a replay cannot show that a stop was a mistake: it flatters arms that stop early.
- Distances are those of `encoding` over what the space draws: choices that differ are 1 apart, numbers at
  most 1. Parameters that the search had fixed do not count.

A record of some dozens of trials is a coarse ruler: what is found is the region of a record, not a configuration. Arms
did not rank on it as they do on the task that it was recorded from (`benchmarks/results/recorded.md`).
`python -m search replay` guesses nothing.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import optuna

from benchmarks.quality.placing import PlacedSpace
from benchmarks.quality.recorded import RecordedSearch
from benchmarks.quality.tasks import Curve, Floats, Params
from search.memory.history import TrialRecord
from search.memory.outcome import Outcome
from search.settings import SearchSettings
from search.space.draw import Draw, draw, draw_config
from search.space.load import load_space
from segcore.errors import ConfigError
from spaces import Space

_ALIKE: Final = ("space", "epochs", "folds", "fold", "fixed", "metric")
_FIXED_DRAWS: Final = 30
"""What the space drew for a fixed parameter is not recorded; so many draws look for one that fits."""
_COARSE: Final = 200
"""With fewer trials arms do not rank as they should; how many are enough was not measured."""
_UNTRAINABLE: Final = (Outcome.OUT_OF_MEMORY, Outcome.OVER_LIMIT)


class Replay:
    """The task of one or several recorded searches of one space on the same data.

    Args:
        searches: the searches.

    Raises:
        ConfigError: when they do not belong together, their space draws none of their trials any more, or too little
            was trained to compare anything.
    """

    def __init__(self, searches: Sequence[RecordedSearch]) -> None:
        settings = _require_alike(searches)
        self.name = "recorded/" + "+".join(dict.fromkeys(search.settings.name for search in searches))
        self.epochs = settings.epochs
        space, facts = load_space(settings.space), _infer_facts(searches)
        trials, draws = _redraw_all(searches, space, facts)
        self._placed = PlacedSpace(space, facts, settings.fixed, draws)
        self._points_RC = np.stack([self._placed.place(each.params) for each in draws])
        self._curves = _build_curves(trials)
        whole = [curve for curve in self._curves if np.isfinite(curve.final)]
        finals = np.array([curve.final for curve in whole])
        self.best, self.middle, self.worst = (float(edge(finals)) for edge in (np.max, np.median, np.min))
        self.whole_seconds = float(np.median([curve.seconds.sum() for curve in whole]))
        self.spent_seconds = sum(sum(_seconds(trial)) for trial in trials)
        self._trials, self._asked = trials, sum(len(search.history.trials) for search in searches)

    def space(self, trial: optuna.Trial) -> None:
        """Draw a configuration from the search's own space."""
        self._placed.draw(trial)

    def train(self, params: Params, seed: int) -> Curve:
        """Return the recorded curve nearest to a configuration; of several that are equally near the seed takes one."""
        distances = ((self._points_RC - self._placed.place(params)) ** 2).sum(axis=1)
        near = np.flatnonzero(distances <= distances.min() + 1e-12)
        return self._curves[int(near[seed % len(near)])]

    def describe(self) -> str:
        """Return in a line what the record holds."""
        ends = {
            "to the end": sum(trial.outcome is Outcome.FINISHED for trial in self._trials),
            "diverged": sum(trial.outcome is Outcome.DIVERGED for trial in self._trials),
            "not trainable": sum(trial.outcome in _UNTRAINABLE for trial in self._trials),
        }
        counts = ", ".join(f"{count} {end}" for end, count in ends.items() if count)
        guessed = len(self._trials) - sum(ends.values())
        left_out = self._asked - len(self._trials)
        coarse = "; too few trials to say which arm is better" if len(self._trials) < _COARSE else ""
        return (
            f"{self.name}: {len(self._trials)} trials ({counts}; {guessed} cut short, further epochs are guessed); "
            f"{left_out} left out that have no score or that the space does not draw; "
            f"best {self.best:.4f}, median {self.middle:.4f}{coarse}"
        )


def _redraw_all(
    searches: Sequence[RecordedSearch], space: Space, facts: dict[str, Any]
) -> tuple[list[TrialRecord], list[Draw]]:
    """Return the trials that teach something and that the space draws, and its draws of them."""
    pairs = [
        (trial, found)
        for search in searches
        for trial in search.history.in_order
        if (trial.epochs or trial.outcome in (*_UNTRAINABLE, Outcome.DIVERGED))
        and (found := _redraw(space, facts, search.settings, trial)) is not None
    ]
    _require_enough([trial for trial, _ in pairs], searches[0].settings)
    return [trial for trial, _ in pairs], [found for _, found in pairs]


def _require_alike(searches: Sequence[RecordedSearch]) -> SearchSettings:
    settings = searches[0].settings
    known = _compared(searches[0])
    for other in searches[1:]:
        for name, value in _compared(other).items():
            values = known[name], value
            if values[0] != values[1]:
                raise ConfigError(
                    f"--search: {settings.name} and {other.settings.name} have unlike {name}, {values[0]} and "
                    f"{values[1]}; their scores do not compare, so replay them apart. Of searches that share a name, "
                    "delete the runs of those that are not meant in MLflow."
                )
    if settings.epochs < 2:
        raise ConfigError(
            f"--search {settings.name}: trials of one epoch leave nothing to decide; replay a longer one."
        )
    return settings


def _compared(search: RecordedSearch) -> dict[str, Any]:
    data = {"data": search.place.data, "extra": search.place.extra}
    return {**data, **{name: getattr(search.settings, name) for name in _ALIKE}}


def _require_enough(trials: list[TrialRecord], settings: SearchSettings) -> None:
    if not trials:
        raise ConfigError(
            f"--search {settings.name}: its space {settings.space!r} draws none of its recorded trials, or none of "
            "them has a score; restore the space that the search began with."
        )
    finished = [trial for trial in trials if trial.outcome is Outcome.FINISHED]
    if not any(np.isfinite(trial.epochs[trial.last_epoch].score) for trial in finished):
        raise ConfigError(
            f"--search {settings.name}: none of its {len(trials)} trials ran to its end with a score, so there is "
            "nothing to compare with; go on with it by 'python -m search resume', or replay another."
        )


def _infer_facts(searches: Sequence[RecordedSearch]) -> dict[str, Any]:
    """Return what the space may know of the data: every crop that was trained fits into it."""
    values = [trial.values for search in searches for trial in search.history.in_order]
    sizes = [each["crop_size"] for each in values if each["input_mode"] == "crop"]
    return {"smallest_side": max(sizes)} if sizes else {}


def _redraw(space: Space, facts: dict[str, Any], settings: SearchSettings, trial: TrialRecord) -> Draw | None:
    """Let the space draw a trial's configuration again; None when it cannot."""
    given = {name: value for name, value in trial.values.items() if name not in settings.fixed}
    for seed in range(_FIXED_DRAWS if settings.fixed else 1):
        try:
            found = draw(lambda each: draw_config(space, each, settings).values(), facts, seed=seed, given=given)
        except ConfigError:
            continue
        if found.values == trial.values:
            return found
    return None


def _build_curves(trials: list[TrialRecord]) -> list[Curve]:
    # What diverged did so in the epoch after its last report.
    last = max(trial.last_epoch + (trial.outcome is Outcome.DIVERGED) for trial in trials)
    scores_RE = np.full((len(trials), last), np.nan)
    for row, trial in enumerate(trials):
        for epoch, report in trial.epochs.items():
            scores_RE[row, epoch - 1] = report.score
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        gains_E = np.nan_to_num(np.nanmedian(np.diff(scores_RE, axis=1, prepend=np.nan), axis=0))
        tops_E = np.nan_to_num(np.nanmax(scores_RE, axis=0), nan=np.inf)
    middle_seconds = float(np.median([each for trial in trials for each in _seconds(trial)]))
    return [
        _build_curve(trial, scores, gains_E, tops_E, middle_seconds)
        for trial, scores in zip(trials, scores_RE, strict=True)
    ]


def _build_curve(trial: TrialRecord, scores_E: Floats, gains_E: Floats, tops_E: Floats, middle: float) -> Curve:
    """Return a trial's curve; one that trained without a report, or did not fit, takes the median time per epoch."""
    known = _seconds(trial)
    seconds = np.array(known + [float(np.median(known)) if known else middle] * (len(scores_E) - len(known)))
    if trial.outcome in _UNTRAINABLE:
        nothing = np.full_like(scores_E, np.nan)
        return Curve(scores=nothing, seconds=seconds, final=float("nan"), out_of_memory=True)
    if trial.outcome is Outcome.FINISHED:
        # Shorter where its patience ended it.
        scores_E, seconds = scores_E[: trial.last_epoch], seconds[: trial.last_epoch]
    elif trial.outcome is not Outcome.DIVERGED:
        scores_E = scores_E.copy()
        for index in range(trial.last_epoch, len(scores_E)):
            scores_E[index] = np.minimum(scores_E[index - 1] + gains_E[index], tops_E[index])
    return Curve(scores=scores_E, seconds=seconds, final=float(scores_E[-1]))


def _seconds(trial: TrialRecord) -> list[float]:
    return [report.metrics["seconds"] for _, report in sorted(trial.epochs.items())]
