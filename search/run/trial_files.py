"""Writes what a person may look at of each trial: its pictures and its log, beside the journal."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from search.folder import StageFolder
from search.memory.journal import Journal
from segcore.errors import StorageError


class TrialFiles:
    """Pictures and a log per trial.

    Args:
        journal: beside which they lie.
        folder: the stage's files.
    """

    def __init__(self, journal: Journal, folder: StageFolder) -> None:
        self._journal = journal
        self._folder = folder

    def save_pictures(self, number: int, epoch: int, pictures: dict[str, bytes]) -> dict[str, str]:
        """Write pictures, and return their files as the journal has them, by what they show.

        Args:
            number: the trial's.
            epoch: after which they were drawn.
            pictures: JPEG files, by what they show.

        Raises:
            StorageError: when the folder is gone, or the disk does not take them.
        """
        saved = {}
        # What they show may have names that no file may have.
        for place, (shown, picture) in enumerate(pictures.items()):
            file = self._folder.trial(number) / f"epoch_{epoch:04d}_{place}.jpg"
            with self._writing(file):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(picture)
            saved[shown] = self._folder.relative(file)
        return saved

    def log(self, number: int, line: str) -> None:
        """Add a line to a trial's log, with the time.

        Args:
            number: the trial's.
            line: what happened.

        Raises:
            StorageError: when the folder is gone, or the disk does not take it.
        """
        file = self._folder.trial(number) / "log.txt"
        with self._writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    @contextlib.contextmanager
    def _writing(self, file: Path) -> Iterator[None]:
        # Of a search's folder that was moved away no second one is begun in its place.
        self._journal.require_there()
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"{file} cannot be written ({error.strerror or error}); make room on its disk, or let it be written."
            ) from error
