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
from benchmarks.quality.synthetic import FAMILIES, Landscape
from benchmarks.quality.tasks import Params
from search.judge.asha import Asha
from search.memory.history import Outcome
from search.propose.proposer import Proposer

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

    def draw(trial: optuna.Trial) -> Params:
        task.space(trial)
        return dict(trial.params)

    proposer = Proposer(draw, seed=0, facts={}, epochs=task.epochs)
    asha = Asha(grace_epochs=1, reduction_factor=2, epochs=task.epochs)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, constant_liar=True))
    _fill(task, proposer, asha, study, arguments.trials)
    for number in range(arguments.trials, arguments.trials + arguments.pending):
        proposer.ask(number)
        task.space(study.ask())
    print(describe_machine())
    print(f"{arguments.trials} trials, {arguments.pending} pending; milliseconds, the first ask left out")
    first = arguments.trials + arguments.pending
    _show("a proposal", lambda index: proposer.ask(first + index), arguments.asks)
    _show("a verdict", lambda index: asha.judge(index, 1, 0.5), arguments.asks)
    _show("looking for who goes on", lambda index: asha.find_promoted(), arguments.asks)
    _show("a proposal of Optuna's TPE", lambda index: task.space(study.ask()), arguments.asks)


def _fill(task: Landscape, proposer: Proposer, asha: Asha, study: optuna.Study, trials: int) -> None:
    random = np.random.default_rng(0)
    for number in range(trials):
        _, params = proposer.ask(number)
        curve = task.train(params, 0)
        scores = curve.scores[: int(random.choice(_LENGTHS, p=_SHARES))]
        # The same trials for both, so that Optuna's model is not built on the way.
        distributions = proposer.trials[-1].distributions
        if curve.out_of_memory or np.isnan(scores).any():
            proposer.close(number, Outcome.DIVERGED, None)
            continue
        for epoch, score in enumerate(scores.tolist(), start=1):
            proposer.observe(number, epoch, score)
            asha.judge(number, epoch, score)
        best = float(scores.max())
        proposer.close(number, Outcome.FINISHED if len(scores) == task.epochs else Outcome.STOPPED, best)
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
