"""How long the search takes to decide, beside Optuna.

`python -m benchmarks.scale.decision_time --trials 1000 --pending 100`

Both know the same finished and stopped trials of a made-up task and the same pending ones, and are asked for more.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Final

import numpy as np
import optuna

from benchmarks.measuring import describe_machine
from benchmarks.quality.arms import Ours
from benchmarks.quality.synthetic import FAMILIES, Landscape
from benchmarks.quality.tasks import Params
from search.memory.events import Asked, CheckpointSaved, Ended, Epoch
from search.memory.outcome import Outcome

_LENGTHS: Final = (1, 2, 4, 8, 16, 27)
_SHARES: Final = (0.5, 0.25, 0.12, 0.06, 0.04, 0.03)
"""Of the trials, how many get so far: each rung lets half go on."""


def main() -> None:
    """Fill both with trials, ask each for more, and print milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="known trials")
    parser.add_argument("--pending", type=int, default=100, help="trials of which nothing is known yet")
    parser.add_argument("--asks", type=int, default=60, help="how often each is asked")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    task = Landscape(FAMILIES[0])

    ours = Ours(task, seed=0)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, constant_liar=True))
    _fill(task, ours, study, arguments.trials)
    for number in range(arguments.trials, arguments.trials + arguments.pending):
        _propose(ours, number)
        task.space(study.ask())
    print(describe_machine())
    print(f"{arguments.trials} trials, {arguments.pending} pending; milliseconds, the first ask left out")
    first = arguments.trials + arguments.pending
    _show("a proposal", lambda index: _propose(ours, first + index), arguments.asks)
    _show("a verdict", lambda index: ours.asha.decide(index, 1, 0.5), arguments.asks)
    _show("looking for who goes on", lambda index: ours.asha.find_promoted(), arguments.asks)
    _show("a proposal of Optuna's TPE", lambda index: task.space(study.ask()), arguments.asks)


def _propose(ours: Ours, number: int) -> Params:
    found = ours.proposer.ask(number)
    ours.judged.tell(
        Asked(trial=number, fold=0, values={}, params=found.params, ahead=found.ahead, first_rung=found.first_rung)
    )
    return found.params


def _fill(task: Landscape, ours: Ours, study: optuna.Study, trials: int) -> None:
    random, tell = np.random.default_rng(0), ours.judged.tell
    for number in range(trials):
        params = _propose(ours, number)
        curve = task.train(params, 0)
        scores = curve.scores[: int(random.choice(_LENGTHS, p=_SHARES))]
        # The same trials for both, so that Optuna's model is not built on the way.
        if curve.out_of_memory or np.isnan(scores).any():
            tell(Ended(trial=number, outcome=Outcome.DIVERGED))
            continue
        for epoch, score in enumerate(scores.tolist(), start=1):
            tell(Epoch(trial=number, epoch=epoch, metrics={"iou": score}))
        tell(CheckpointSaved(trial=number, epoch=len(scores), path="checkpoint"))
        tell(Ended(trial=number, outcome=Outcome.FINISHED if len(scores) == task.epochs else Outcome.STOPPED))
        best, distributions = float(scores.max()), ours.draw(params, 0).distributions
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=best))


def _show(name: str, decide: Callable[[int], object], asks: int) -> None:
    times_ms = []
    for index in range(asks + 1):
        begun = time.perf_counter()
        decide(index)
        times_ms.append(1000 * (time.perf_counter() - begun))
    rest = times_ms[1:]
    print(
        f"{name:28} mean {statistics.mean(rest):7.2f}   median {statistics.median(rest):7.2f}   most {max(rest):7.2f}"
    )


if __name__ == "__main__":
    main()
