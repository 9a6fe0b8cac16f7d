"""How much of a disk the checkpoints of a search take at most, before it begins."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from search.judge.progress import build_asha
from search.settings import SearchSettings
from segcore.errors import StorageError

_WHILE_TRAINED: Final = 3
"""Two checkpoints of a trial that runs are kept, and the next is written before the older one goes."""
_GB: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What checkpoints take.

    Args:
        running: checkpoints of the trials that run at a time.
        resting: of those that wait to be promoted, and of the best.
        bytes_each: of the largest.
    """

    running: int
    resting: int
    bytes_each: int

    def compare(self, storage: Path, free_bytes: int) -> tuple[str, bool]:
        """Say what is needed and what there is, and whether it is enough.

        Args:
            storage: the folder of all searches.
            free_bytes: of its disk.

        Raises:
            StorageError: when not even the trials that run have room.
        """
        count = self.running + self.resting
        needed = (
            f"Checkpoints take up to {count * self.bytes_each / _GB:.1f} GB of {storage} at a time ({count} of up to "
            f"{self.bytes_each / _GB:.2f} GB); {free_bytes / _GB:.1f} GB are free"
        )
        if self.running * self.bytes_each > free_bytes:
            raise StorageError(
                f"{needed}: too little for the trials that run alone. Make room, choose another disk with --storage, "
                "or run fewer at a time with --max-concurrent."
            )
        fits = count * self.bytes_each <= free_bytes
        return (f"{needed}." if fits else f"{needed}, so the disk may get full: make room."), fits


def estimate_room(settings: SearchSettings, concurrent: int, checkpoint_bytes: int) -> Room:
    """Return what the checkpoints of a search take.

    Args:
        settings: the number of trials and the rungs are used.
        concurrent: trials at a time; 0 while no node is there counts as 1.
        checkpoint_bytes: of the largest.
    """
    at_once = min(max(1, concurrent), settings.trials)
    resting = min(build_asha(settings).most_waiting + 1, settings.trials - at_once)
    return Room(running=_WHILE_TRAINED * at_once, resting=resting, bytes_each=checkpoint_bytes)
