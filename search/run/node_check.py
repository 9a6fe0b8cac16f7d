"""What a node does when it is looked at: it imports what a training needs, tells what it is, and prepares its cache.

Which nodes are looked at, and what follows from it, is in `nodes`.
"""

import importlib
import re
from dataclasses import dataclass
from typing import Final

import ray

from search.place import Place
from search.run.probe import Meeting, Probe, find_faults, probe_machine
from segcore.data.bringing import bring_data, bring_each
from segcore.data.dataset import read_dataset
from segcore.data.extra import prepare_caches, read_extra
from segcore.errors import StreetError

REMEDY: Final = "see its machine and Ray's logs there, or start its Ray again"
"""Where a node does not answer as it should."""
_TRAINING: Final = "search.run.trial"
"""Module that imports all that a training needs."""
_LACKED: Final = re.compile(r"\b(?:Import|ModuleNotFound|PackageNotFound)Error:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What came of looking at a node.

    Args:
        problem: why it can run no trial; empty when it can.
        cache_key: name of the cache it prepared; empty where it prepared none.
        probe: what it is and has; None when it did not come to that.
    """

    problem: str = ""
    cache_key: str = ""
    probe: Probe | None = None


def check_here(
    place: Place, meeting: Meeting, name: str, versions: dict[str, str], gpus: float, pretended: bool, prepare: bool
) -> Check:
    """Look at the node that this runs on, and prepare its cache if it can be used.

    Args:
        place: data, extra data and cache are used.
        meeting: in the storage.
        name: of the node, as Ray names it.
        versions: of the driver's machine.
        gpus: GPUs that Ray believes the node has, where trials ask for them.
        pretended: whether that is taken on Ray's word.
        prepare: whether to prepare the cache; the driver prepares its own machine's itself.
    """
    probe = probe_machine(place.cache, meeting, name)
    if faults := find_faults(probe, versions, gpus, pretended):
        return Check(problem="; ".join(faults), probe=probe)
    import_training()
    if not prepare:
        return Check(probe=probe)
    try:
        dataset = read_dataset(bring_data(place.data, place.cache), place.layout)
        cache = prepare_caches(dataset, read_extra(dataset, bring_each(place.extra, place.cache)), place.cache)
    except StreetError as error:
        return Check(problem=f"it cannot prepare its cache: {error}", probe=probe)
    return Check(cache_key=cache.key, probe=probe)


def import_training() -> None:
    """Import what a training needs; its workers would fail for want of it, one after another, each in its own words."""
    importlib.import_module(_TRAINING)


def describe_failure(error: ray.exceptions.RayError) -> str:
    """Return why a node could not be looked at, and what to do."""
    said = str(error).strip().splitlines()[-1]
    if _LACKED.search(said):
        return (
            f"what a training needs cannot be imported there ({said}): install what requirements.txt lists, as it is "
            "installed here"
        )
    return f"looking at it failed ({said}): {REMEDY}"
