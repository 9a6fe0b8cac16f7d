"""Where a command reads a search from: its storage, or MLflow alone where the storage cannot be reached."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from search.commands.reading import Look, look_at
from search.fetched import read_fetched
from search.finding import find_folder
from search.folder import SearchFolder
from search.insight.words import tell_moment
from search.run.scratch import clear_scratch, scratch_folder
from search.storage import locate_storage
from search.tracking_uri import fix_uri, mask_uri
from segcore.bucket_address import SCHEMES

TrackingUri = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="MLflow that the search is logged to, http://HOST:PORT or sqlite:///FILE, read in place of the storage",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A search that is read.

    Args:
        folder: its files; of one in MLflow for the moment, and there once it was looked at.
        tracking_uri: MLflow's address; empty: the search lies in its storage.
        given: its name there, which a person may have changed.
    """

    folder: SearchFolder
    tracking_uri: str = ""
    given: str = ""

    @property
    def is_far(self) -> bool:
        """Whether it is read from MLflow alone."""
        return bool(self.tracking_uri)

    def look(self, folder: SearchFolder | None = None) -> Look:
        """Read the search as it is now.

        Args:
            folder: its files, where they were found again.

        Raises:
            StreetError: when it cannot be read.
        """
        if self.is_far:
            from search.tracking.record_file import fetch_record

            fetch_record(self.tracking_uri, self.given, self.folder)
        return look_at(self.folder if folder is None else folder)

    def fetch_pictures(self, look: Look) -> None:
        """Bring the pictures that a report shows, where they are not at hand."""
        if self.is_far:
            from search.tracking.record_pictures import fetch_pictures

            fetch_pictures(self.tracking_uri, look.record)

    def place_for(self, file: Path) -> Path:
        """Return where a page is written when nothing else is said: in the search's folder, or here when it is far."""
        return Path(f"{self.folder.name}-{file.name}") if self.is_far else file

    def tell(self) -> str:
        """Say how old what is shown is; empty for a search in its storage, which is shown as it is."""
        fetched = read_fetched(self.folder.root.parent)
        if fetched is None:
            return ""
        where = mask_uri(self.tracking_uri)
        return f"From {where}, as the search was on {tell_moment(fetched.seconds)}; its storage: {fetched.storage}"


@contextmanager
def reached(name: str, storage: Path, tracking_uri: str = "") -> Iterator[Source]:
    """Find a search, and forget what was fetched of it at the end.

    Args:
        name: of the search.
        storage: folder of all searches; it counts where no MLflow is named.
        tracking_uri: MLflow's address, or empty.

    Raises:
        StreetError: when there is none of that name.
    """
    if not tracking_uri:
        yield Source(folder=find_folder(storage, name))
        return
    from search.tracking.record_file import find_own_name

    uri = fix_uri(tracking_uri)
    clear_scratch()
    with scratch_folder() as temporary:
        yield Source(folder=SearchFolder(root=temporary / find_own_name(uri, name)), tracking_uri=uri, given=name)


@contextmanager
def reached_at(given: str, storage: Path) -> Iterator[Source]:
    """Find a search that is given as NAME, or as NAME@PLACE with a folder, a bucket's address or MLflow's.

    Args:
        given: as the command line has it.
        storage: where no place is given.

    Raises:
        CheckpointError: when there is none of that name.
        ConfigError: when the place is an address that cannot be used.
    """
    name, _, place = given.partition("@")
    scheme, slashes, _ = place.partition("://")
    is_mlflow = bool(slashes) and scheme.lower() not in SCHEMES
    where = locate_storage(place) if place and not is_mlflow else storage
    with reached(name, where, place if is_mlflow else "") as source:
        yield source
