"""Where the files of a search lie; every other room asks here.

STORAGE/mlflow.db, mlartifacts/     MLflow, unless a server is named
STORAGE/NAME/settings.json          what the search is
STORAGE/NAME/place.json             where it ran last, and on what
STORAGE/NAME/folds.json             which case is validated in which fold
STORAGE/NAME/journal.jsonl          what happened, in order: the search's memory
STORAGE/NAME/best.json              the winner
STORAGE/NAME/report.html            all that is known of the search, as a page
STORAGE/NAME/trials/0003/           log and pictures of a trial
STORAGE/NAME/ray/                   Ray Tune's own files; checkpoints
STORAGE/NAME/confirm/               the same for the best configurations on further folds
STORAGE/NAME/retrain/               the same for the retraining, and model/, the ensemble

Of a storage in a bucket STORAGE is the mirror on this machine, see `storage`; `ray/` is in the bucket alone.
"""

import os
import shlex
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from search.fetched import read_fetched
from search.mirror import fetch_file, note_dropped
from search.place import DEFAULT_STORAGE, Place
from search.settings import SearchSettings
from search.storage import find_bucket, name_storage
from segcore.bucket import Bucket, patiently
from segcore.errors import CheckpointError

CONFIRM_FOLDER: Final = "confirm"
STAGE_TITLES: Final = {"search": "search", "confirm": "confirmation", "retrain": "retraining"}
"""What each stage is called for a person."""
GOES_ON: Final = {"search": "resume", "confirm": "confirm", "retrain": "retrain"}
"""The command that goes on with each stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFolder:
    """Files of one stage: the search itself, its confirmation or its retraining.

    Args:
        root: the stage's folder.
        search: the folder of the whole search; None: the same.
    """

    root: Path
    search: Path | None = None

    @property
    def journal(self) -> Path:
        """The stage's memory."""
        return self.root / "journal.jsonl"

    @property
    def search_journal(self) -> Path:
        """The memory of the search that this is a stage of."""
        return SearchFolder(root=self._search).search_stage.journal

    @property
    def ray(self) -> Path:
        """Ray Tune's storage."""
        return self.root / "ray"

    @property
    def bucket(self) -> Bucket | None:
        """The bucket of the whole storage; None when that is a folder."""
        return find_bucket(self._search.parent)

    @property
    def _search(self) -> Path:
        return self.search or self.root

    @property
    def _is_fetched(self) -> bool:
        return read_fetched(self._search.parent) is not None

    def trial(self, number: int) -> Path:
        """Folder of a trial's log and pictures."""
        return self.root / "trials" / f"{number:04d}"

    def command(self, verb: str, *options: str) -> str:
        """Return the command line that does something with the search of this stage, to be pasted."""
        return SearchFolder(root=self._search).command(verb, *options)

    def relative(self, path: str | Path) -> str:
        """Return a path as the journal holds it: from the stage's folder on, so that it stays true when that is moved.

        Raises:
            CheckpointError: when it lies outside of the search's folder.
        """
        # Ray names what lies in a bucket by the bucket's name first.
        in_bucket = self.bucket.relative(str(path)) if self.bucket is not None else None
        inside = self.resolve(path if in_bucket is None else self._search.parent / in_bucket)
        return Path(os.path.relpath(inside, self.root.resolve())).as_posix()

    def resolve(self, stored: str | Path) -> Path:
        """Return where a path of the journal lies now.

        The retraining takes over what the confirmation trained, so it may lie in another stage of the same search.

        Args:
            stored: from the stage's folder on.

        Raises:
            CheckpointError: when it lies outside of the search's folder, itself or by a link.
        """
        search = self._search.resolve()
        try:
            found = (self.root / stored).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{self.journal} names {str(stored)!r}, which is no path ({error}).") from error
        if search not in found.parents:
            raise CheckpointError(
                f"{self.journal} names {str(stored)!r}, which is not inside of {search}: nothing there is read or "
                "deleted. Restore the journal as it was written, or launch a new search."
            )
        return found

    def address(self, stored: str | Path) -> str:
        """Return what any node finds a path of the journal by: where it lies now, or its address in the bucket.

        Raises:
            CheckpointError: when it lies outside of the search's folder.
        """
        in_bucket = self.find_stored(stored)
        if in_bucket is not None:
            return in_bucket.address
        found = self.resolve(stored)
        return f"{name_storage(self._search.parent)}/{self._in_storage(found)}" if self._is_fetched else str(found)

    def find_stored(self, stored: str | Path) -> Bucket | None:
        """Return a path of the journal as a folder in the bucket; None where the storage is a folder.

        Raises:
            CheckpointError: when it lies outside of the search's folder.
        """
        found, bucket = self.resolve(stored), self.bucket
        return None if bucket is None else bucket.inside(self._in_storage(found))

    def has(self, stored: str | Path, file: str) -> bool:
        """Say whether a folder of the journal is there, with a file in it.

        Raises:
            CheckpointError: when it lies outside of the search's folder.
            StorageError: when the bucket cannot be read.
        """
        found, bucket = self.resolve(stored) / file, self.bucket
        if bucket is None:
            return found.is_file()
        return patiently(partial(bucket.look_up, self._in_storage(found))) is not None

    def fetch(self, stored: str | Path, file: str) -> Path:
        """Return a file in a folder of the journal, brought to this machine if it is not here.

        Raises:
            CheckpointError: when it lies outside of the search's folder, or is missing.
            StorageError: when the bucket cannot be read, or the disk is full.
        """
        found, bucket = self.resolve(stored) / file, self.bucket
        if bucket is not None and not found.is_file():
            patiently(partial(fetch_file, bucket, self._in_storage(found), found))
        if not found.is_file():
            raise CheckpointError(f"{self.address(stored)} has no {file}: the checkpoint is missing.")
        return found

    def _in_storage(self, path: Path) -> str:
        return path.relative_to(self._search.parent.resolve()).as_posix()

    def delete(self, stored: str | Path) -> None:
        """Delete a folder that Ray Tune made for this stage; one that is gone is no matter.

        In a bucket it is deleted by who copies the search there, after the journal that no longer names it.

        Raises:
            CheckpointError: when it is not inside of the stage's `ray` folder.
        """
        found = self.resolve(stored)
        if self.ray.resolve() not in found.parents:
            raise CheckpointError(
                f"{self.journal} names {str(stored)!r}, which is not inside of {self.ray}: it is not deleted. "
                "Restore the journal as it was written, or launch a new search."
            )
        shutil.rmtree(found, ignore_errors=True)
        if self.bucket is not None:
            note_dropped(self._search, found.relative_to(self._search.resolve()).as_posix())


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFolder:
    """Files of one search.

    Args:
        root: STORAGE/NAME.
    """

    root: Path

    @property
    def name(self) -> str:
        """The search's name."""
        return self.root.name

    @property
    def settings(self) -> Path:
        """What the search is."""
        return self.root / "settings.json"

    @property
    def place(self) -> Path:
        """Where it ran last."""
        return self.root / "place.json"

    @property
    def folds(self) -> Path:
        """Which case is validated in which fold."""
        return self.root / "folds.json"

    @property
    def best(self) -> Path:
        """The winner."""
        return self.root / "best.json"

    @property
    def report(self) -> Path:
        """The page that says all that is known of the search."""
        return self.root / "report.html"

    @property
    def model(self) -> Path:
        """The retrained ensemble."""
        return self.root / "retrain" / "model"

    def find_model(self) -> str:
        """Return where the retrained ensemble is, on this machine or in the bucket; empty when there is none yet.

        Raises:
            StorageError: when the bucket cannot be read.
        """
        if self.model.exists():
            return self.search_stage.address(self.model) if read_fetched(self.root.parent) else str(self.model)
        bucket = find_bucket(self.root.parent)
        path = self.model.relative_to(self.root.parent).as_posix()
        return bucket.inside(path).address if bucket is not None and bucket.list_files(path) else ""

    @property
    def search_stage(self) -> StageFolder:
        """Files of the search itself."""
        return StageFolder(root=self.root)

    @property
    def confirm_stage(self) -> StageFolder:
        """Files of the best configurations' trainings on further folds."""
        return StageFolder(root=self.root / CONFIRM_FOLDER, search=self.root)

    @property
    def retrain_stage(self) -> StageFolder:
        """Files of the retraining."""
        return StageFolder(root=self.root / "retrain", search=self.root)

    @property
    def stages(self) -> dict[str, StageFolder]:
        """Files of every stage by its name, in the order in which they run."""
        return {"search": self.search_stage, "confirm": self.confirm_stage, "retrain": self.retrain_stage}

    def command(self, verb: str, *options: str) -> str:
        """Return the command line that does something with this search, to be pasted."""
        return command_line(verb, self.root.name, *options, storage=self.root.parent)


def command_line(verb: str, *arguments: str, storage: Path) -> str:
    """Return a command line to be pasted: quoted, and with the storage unless it is the default one."""
    where = [] if _is_default(storage) else ["--storage", name_storage(storage)]
    return shlex.join(["python", "-m", "search", verb, *arguments, *where])


def _is_default(storage: Path) -> bool:
    try:
        return storage.resolve() == DEFAULT_STORAGE.resolve()
    except OSError:
        # The working directory is gone, or a part of it cannot be read.
        return False


def folder_of(settings: SearchSettings, place: Place) -> SearchFolder:
    """Return the folder of a search that is to begin."""
    return SearchFolder(root=place.storage / settings.name)
