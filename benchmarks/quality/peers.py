"""Arms of Syne Tune, SMAC, DEHB and NePS, driven as real objects; one whose package is not installed is left out."""

import importlib.util
from collections.abc import Callable
from functools import partial

from benchmarks.quality.peer_dehb import Dehb
from benchmarks.quality.peer_jobs import JobArm
from benchmarks.quality.peer_neps import Neps
from benchmarks.quality.peer_smac import Smac
from benchmarks.quality.peer_syne import BASELINES, SyneTune
from benchmarks.quality.simulator import Arm
from benchmarks.quality.tasks import Task

SYNE_TUNE = {
    "syne-asha": "ASHA",
    "syne-asha-cqr": "ASHACQR",
    "syne-asha-bore": "ASHABORE",
    "syne-bohb": "BOHB",
    "syne-mobster": "MOBSTER",
    "syne-hypertune": "HyperTune",
    "syne-dyhpo": "DyHPO",
}


def find_peers(trainings: int, refit_every: int = 1) -> dict[str, Callable[[Task, int], Arm]]:
    """Return an arm of each peer whose package can be imported.

    Args:
        trainings: the budget of a search, in whole trainings.
        refit_every: results after which Syne Tune's slow models are fitted anew.
    """
    peers: dict[str, Callable[[Task, int], Arm]] = {}
    if _is_installed("syne_tune") and _is_installed(BASELINES):
        peers |= {name: partial(SyneTune, kind=kind, refit_every=refit_every) for name, kind in SYNE_TUNE.items()}
    if _is_installed("smac"):
        peers["smac-multi-fidelity"] = lambda task, seed: JobArm(task, Smac(task, seed, trainings=trainings))
    if _is_installed("dehb"):
        peers["dehb"] = lambda task, seed: JobArm(task, Dehb(task, seed))
    if _is_installed("neps"):
        peers["neps-hyperband"] = lambda task, seed: JobArm(task, Neps(task, seed, has_prior=False))
        peers["neps-priorband"] = lambda task, seed: JobArm(task, Neps(task, seed, has_prior=True))
    return peers


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
