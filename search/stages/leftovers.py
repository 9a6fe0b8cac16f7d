"""Deletes what dead runs of Ray Tune left in a stage's folder: checkpoints that no journal knows, and empty runs."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from search.folder import StageFolder
from search.memory.history import History
from segcore.bucket import Bucket
from segcore.errors import StorageError


def clear_leftovers(folder: StageFolder, known: Iterable[tuple[StageFolder, History]]) -> None:
    """Delete Ray Tune's files of earlier runs but for the checkpoints that a trial may go on from.

    A worker that is killed as it saves leaves a part of a checkpoint, a driver the files of its run.

    Args:
        folder: the stage's; its lock is held, and no run of it has begun.
        known: every stage of the search with its trials, since one takes over what another trained.
    """
    kept = {
        stage.resolve(place) for stage, history in known for trial in history.in_order for place in trial.checkpoints
    }
    if (stored := folder.find_stored(folder.ray)) is not None:
        # Nobody is kept waiting by what is left in a bucket that does not answer.
        with suppress(StorageError):
            _clear_bucket(stored, folder.ray.resolve(), kept)
    needed = kept | {parent for place in kept for parent in place.parents}
    for run in folder.ray.glob("run-*"):
        _delete_all_but(needed, kept, run)


def _clear_bucket(stored: Bucket, ray: Path, kept: set[Path]) -> None:
    for file in stored.list_files():
        if file.path.startswith("run-") and kept.isdisjoint((ray / file.path).parents):
            stored.delete(file.path)


def _delete_all_but(needed: set[Path], kept: set[Path], folder: Path) -> None:
    """Delete a folder, or, where it leads to something that is kept, the folders in it that do not."""
    found = folder.resolve()
    if found in kept or folder.is_symlink():
        return
    if found not in needed:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for inner in folder.iterdir():
        if inner.is_dir():
            _delete_all_but(needed, kept, inner)
