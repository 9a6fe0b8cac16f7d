"""Reaches what a search needs before anything starts: MLflow, its data, its nodes, room on its disk.

Needs Ray, MLflow and torch, as `running` does, so commands import this file when they run.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from search.commands.console import console, told_if_slow, warn
from search.commands.display import decoding_shown
from search.folder import SearchFolder
from search.judge.room import estimate_room
from search.place import Place, require_one_gpu
from search.run import cluster
from search.run.capacity import Capacity
from search.run.scratch import temporary_kept
from search.settings import SearchSettings
from search.stages.stage import ReadySearch
from search.storage import find_bucket, name_storage
from search.tracking.check import check_tracking
from search.tracking_uri import own_tracking_uri
from segcore.data.bringing import bring_data, bring_each
from segcore.data.caching.cache import PixelCache
from segcore.data.caching.disk import warn_of_network
from segcore.data.case import DataSet
from segcore.data.dataset import read_dataset
from segcore.data.dividing.split import read_folds
from segcore.data.extra import read_extra


def expect_tracking(place: Place) -> None:
    """Refuse an MLflow that can never be used; of one that is only away, say that the search does not wait for it."""
    if problem := check_tracking(place.tracking_uri):
        warn(f"{problem} The search goes on; MLflow is sent what it misses when it answers.")


def tell_storage(place: Place) -> None:
    """Say what of a storage in a bucket stays on this machine."""
    if find_bucket(place.storage) is None:
        return
    console.print(f"{name_storage(place.storage)} is mirrored here: {place.storage}", soft_wrap=True)
    if place.tracking_uri == own_tracking_uri(place.storage):
        warn(
            "MLflow's database stays on this machine and is not copied to the bucket: another machine fills one of its "
            "own from the journal. Name a server by --tracking-uri to have one for all."
        )


@contextmanager
def connected(place: Place, trials: int) -> Iterator[Capacity]:
    """Connect to the place's cluster, or start a local Ray, and say so if it takes long; see `cluster.connected`."""
    with ExitStack() as stack:
        with told_if_slow(f"reaching the Ray cluster at {place.address}" if place.address else "starting Ray"):
            capacity = stack.enter_context(cluster.connected(place, trials))
        stack.enter_context(temporary_kept())
        yield capacity


def read_data(place: Place) -> DataSet:
    """Return what the data set holds, fetching or unpacking it first if need be, and say so.

    Extra data that cannot be read, or that does not belong to it, is refused here, before anything starts.
    """
    with decoding_shown("fetching, MiB") as progress:
        folder = bring_data(place.data, place.cache, progress, lambda line: console.print(line, soft_wrap=True))
    dataset = read_dataset(folder, place.layout)
    read_extra(dataset, bring_each(place.extra, place.cache))
    return dataset


def prepare_cache(capacity: Capacity, dataset: DataSet) -> PixelCache:
    """Decode the images on every node, showing how far it is.

    Args:
        capacity: the cluster's nodes.
        dataset: what the data's folder holds.
    """
    place = capacity.place
    if cluster.has_idle_gpus(place):
        console.print("The cluster has GPUs, but trials run on CPUs: --gpus-per-trial is 0.", style="yellow")
    if capacity.note:
        warn(f"{capacity.note[0].upper()}{capacity.note[1:]}.")
    if warning := warn_of_network(place.cache):
        warn(warning)
    with decoding_shown() as progress:
        cache = cluster.prepare_nodes(
            dataset, capacity, progress, lambda plan: console.print(plan.describe(), soft_wrap=True)
        )
    with told_if_slow(f"waiting for {capacity.nodes.describe_busy() if capacity.nodes is not None else 'nodes'}"):
        cluster.require_usable(capacity)
    for warning in capacity.nodes.pop_warnings() if capacity.nodes is not None else ():
        warn(warning)
    return cache


@contextmanager
def reached(settings: SearchSettings, place: Place, folder: SearchFolder, trials: int) -> Iterator[ReadySearch]:
    """Reach the nodes and the data of a search that was begun, to go on with one of its stages.

    Args:
        settings: of this run.
        place: where it runs now.
        folder: the search's files.
        trials: how many the stage has left to run at most.

    Raises:
        StreetError: when a training could not use what it is to be given, or the folds, the data or the cluster cannot
            be had, before anything starts.
    """
    require_one_gpu(place)
    read_folds(folder.folds)
    expect_tracking(place)
    tell_storage(place)
    dataset = read_data(place)
    with connected(place, trials) as capacity:
        cache = prepare_cache(capacity, dataset)
        yield ReadySearch(settings=settings, capacity=capacity, folder=folder, cache=cache)


def expect_room(settings: SearchSettings, place: Place, concurrent: int, checkpoint_bytes: int) -> None:
    """Say how much of the storage's disk checkpoints will take, and refuse one that is plainly too small."""
    if find_bucket(place.storage) is None:
        needed = estimate_room(settings, concurrent, checkpoint_bytes)
        told, fits = needed.compare(place.storage, shutil.disk_usage(place.storage).free)
        console.print(told, style=None if fits else "yellow", soft_wrap=True)
