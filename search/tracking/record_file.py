"""The record of a search as a file of its run in MLflow: what its pages and tables are made of, without its storage.

Packed as one file, so that nobody ever fetches a new journal beside old folds. The pictures of its
runs are brought by `record_pictures`. When it is sent, says `follower`.
"""

import io
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from search.fetched import Fetched, encode_fetched, mark_fetched
from search.folder import SearchFolder, StageFolder
from search.memory.journal import read_history
from search.memory.scores import SCORES_FILE
from search.opening import read_what
from search.place import Place
from search.settings import describe_damage
from search.storage import name_storage
from search.tracking.check import check_tracking
from search.tracking.experiments import find_run, stage_tags
from search.tracking.finding import find_experiment
from search.tracking.reading import identify
from search.tracking.store import PARENT, database_file, open_client, readable, told
from search.tracking_uri import mask_uri
from segcore.errors import CheckpointError, StorageError, StoreAwayError, TrackingError

RECORD_FILE: Final = "record.zip"
_SENT: Final = "sent.json"
_KINDS: Final = {".json", ".jsonl"}
_MOST_BYTES: Final = 2**31
"""Of what is unpacked: whoever can write to MLflow's files could fill this machine's disk."""
_MOST_FILES: Final = 10_000
_MOST_SENT_BYTES: Final = 1 << 20
_NAMED: Final = 20


def send_record(place: Place, folder: SearchFolder, stage: str) -> None:
    """Write the record of a search into its own run; the one before is replaced. Without such a run nothing is written.

    Args:
        place: where MLflow is.
        folder: the search's files.
        stage: that a process runs; empty when it has come to its end.

    Raises:
        CheckpointError: when the search's files are damaged.
        MlflowException: when MLflow cannot be asked.
    """
    client = open_client(place.tracking_uri)
    settings = read_what(folder)
    experiment = find_experiment(client, settings)
    own = stage_tags(settings, "search", identify(folder.search_stage.journal))
    parent = find_run(client, experiment.experiment_id, own, PARENT) if experiment is not None else None
    if parent is None or parent.info.lifecycle_stage != "active":
        return
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / RECORD_FILE
        file.write_bytes(pack_record(folder, stage))
        client.log_artifact(parent.info.run_id, str(file))


def pack_record(folder: SearchFolder, stage: str) -> bytes:
    """Return the record of a search.

    Args:
        folder: the search's files.
        stage: that a process runs; empty when none does.
    """
    sent = Fetched(storage=name_storage(folder.root.parent), stage=stage, seconds=time.time())
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(_SENT, encode_fetched(sent))
        for file in _list_files(folder):
            if file.is_file():
                # Relative to where it lies, links or not.
                packed.writestr(file.resolve().relative_to(folder.root.resolve()).as_posix(), _read(file))
    return content.getvalue()


def fetch_record(uri: str, name: str, storage: Path) -> SearchFolder:
    """Fetch the record of a search from MLflow, over the one that was fetched before.

    Args:
        uri: MLflow's address.
        name: of the search; of several that one began last.
        storage: folder that becomes the storage of this search alone.

    Returns:
        The search's files, without checkpoints and pictures.

    Raises:
        TrackingError: when MLflow cannot be asked, knows no such search, or has no record of it.
        StoreAwayError: when it does not answer now.
        CheckpointError: when the record is damaged.
        StorageError: when it cannot be written here.
    """
    database = database_file(uri)
    # Whoever only reads makes no database where an address is mistyped.
    if database is not None and not database.exists():
        raise TrackingError(f"--tracking-uri {uri}: there is no {database}; give MLflow's address.")
    if problem := check_tracking(uri):
        raise StoreAwayError(f"{problem} Start the server, or give its address.")
    folder, part = SearchFolder(root=storage / name), storage / f"{name}.part"
    try:
        with readable(uri):
            file = _download(open_client(uri), uri, name, storage)
        shutil.rmtree(part, ignore_errors=True)
        _unpack(file, part, storage)
        shutil.rmtree(folder.root, ignore_errors=True)
        part.rename(folder.root)
    except OSError as error:
        raise StorageError(
            f"{storage} cannot be written ({error.strerror or error}); make room on its disk, or let it be written."
        ) from error
    return folder


def _list_files(folder: SearchFolder) -> Iterator[Path]:
    yield from (folder.settings, folder.place, folder.folds, folder.model / "ensemble.json")
    yield from _list_scores(folder.retrain_stage, read_what(folder).metric)
    # A later stage follows from an earlier one, which so is never the older of the two.
    yield from (stage.journal for stage in reversed([*folder.stages.values()]))


def _list_scores(stage: StageFolder, metric: str) -> Iterator[Path]:
    """Yield what each image scored in the retraining, of trainings whose files are here."""
    for training in read_history(stage.journal, metric).in_order:
        if training.checkpoint is not None:
            yield stage.resolve(training.checkpoint) / SCORES_FILE


def _read(file: Path) -> bytes:
    """Return a file; of a journal its whole lines, for a process may be writing the next one."""
    content = file.read_bytes()
    return content[: content.rfind(b"\n") + 1] if file.suffix == ".jsonl" else content


def _download(client: MlflowClient, uri: str, name: str, storage: Path) -> Path:
    run = _find_search(client, uri, name)
    try:
        return Path(client.download_artifacts(run.info.run_id, RECORD_FILE, str(storage)))
    except (MlflowException, OSError) as error:
        raise TrackingError(
            f"{mask_uri(uri)} has no record of search {name!r} ({told(error)}); 'python -m search sync {name}', where "
            "its storage is, sends it."
        ) from error


def _find_search(client: MlflowClient, uri: str, name: str) -> Run:
    """Return the own run of a search; of several that one began last."""
    experiment = client.get_experiment_by_name(name)
    query = f"tags.`search.stage` = 'search' and tags.`search.trial` = '{PARENT}'"
    runs = client.search_runs([experiment.experiment_id], query, max_results=1) if experiment is not None else []
    if not runs:
        names = sorted(each.name for each in client.search_experiments(max_results=_NAMED) if each.name != "Default")
        known = f"there are {', '.join(names)}" if names else "there is none at all"
        raise TrackingError(
            f"No search {name!r} in {mask_uri(uri)}; {known}. Give MLflow's address with --tracking-uri."
        )
    return runs[0]


def _unpack(file: Path, root: Path, storage: Path) -> None:
    try:
        with zipfile.ZipFile(file) as packed:
            members, sent = packed.infolist(), packed.getinfo(_SENT)
            is_large = len(members) > _MOST_FILES or sent.file_size > _MOST_SENT_BYTES
            if is_large or sum(each.file_size for each in members) > _MOST_BYTES:
                raise CheckpointError(f"{RECORD_FILE} is larger than any record; it is not unpacked.")
            for member in (each for each in members if each.filename != _SENT):
                if Path(member.filename).suffix in _KINDS:
                    # It leaves out whatever would lead out of the folder.
                    packed.extract(member, root)
            mark_fetched(storage, packed.read(sent))
    # What is cut short, packed in a way that is not known, or asks for a password.
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"MLflow's {RECORD_FILE} is damaged ({describe_damage(error)}); 'python -m search sync', where its storage "
            "is, mends it."
        ) from error
