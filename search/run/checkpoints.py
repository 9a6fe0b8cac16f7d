"""Brings a checkpoint to a worker: where it lies, or out of a bucket, which may not answer for a while.

Ray's own way asks a bucket once, and leaves what it brought on the node when its process is killed.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from search.run.scratch import blaming_node, scratch_folder
from segcore.bucket import Bucket, parse_bucket, patiently
from segcore.bucket_address import is_address
from segcore.errors import CheckpointError
from segcore.training.saving import STATE_FILE


@contextmanager
def brought(place: str) -> Iterator[Path]:
    """Yield a folder of this node that has a checkpoint's files.

    Args:
        place: the checkpoint's folder, or its address in a bucket.

    Raises:
        CheckpointError: when the bucket has no state there; one that is raised inside names the place.
        StorageError: when the bucket cannot be read.
        ClusterError: when this node has no room for it.
    """
    if not is_address(place):
        yield Path(place)
        return
    with ExitStack() as stack:
        with blaming_node(OSError):
            folder = stack.enter_context(scratch_folder())
            patiently(partial(_bring, parse_bucket("storage", place), folder))
        try:
            yield folder
        except CheckpointError as error:
            # Where it is to be mended, not where it was brought.
            raise CheckpointError(str(error).replace(str(folder), place)) from error


def _bring(stored: Bucket, folder: Path) -> None:
    names = [each.path for each in stored.list_files()]
    if STATE_FILE not in names:
        raise CheckpointError(f"{stored.address} has no {STATE_FILE}: the checkpoint is missing.")
    for name in names:
        with (folder / name).open("wb") as stream:
            stored.download(name, stream)
