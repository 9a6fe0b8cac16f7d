"""The record of a search as a file of its run in MLflow: what its pages and tables are made of, without its storage.

Packed as one file, so that nobody ever fetches a new journal beside old folds. The pictures of its
runs are brought by `record_pictures`. When it is sent, says `follower`.
"""

import io
import itertools
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
from search.opening import read_what
from search.place import Place
from search.settings import describe_damage, require_name
from search.storage import name_storage
from search.tracking.artifacts import artifact_errors
from search.tracking.check import check_tracking
from search.tracking.documents import SETTINGS_FILE, read_document
from search.tracking.experiments import find_run, find_search, stage_tags
from search.tracking.finding import find_experiment
from search.tracking.reading import identify
from search.tracking.store import PARENT, database_file, open_client, readable, told
from search.tracking_uri import mask_uri
from segcore.errors import CheckpointError, StorageError, StoreAwayError, TrackingError
from segcore.scoring.score_text import SCORES_FILE

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
                with packed.open(file.resolve().relative_to(folder.root.resolve()).as_posix(), "w") as member:
                    member.writelines(_read_whole(file))
    return content.getvalue()


def find_own_name(uri: str, given: str) -> str:
    """Return what a search is called in its storage, where MLflow has its experiment by another name.

    Args:
        uri: MLflow's address.
        given: the name of the search, or of its experiment.

    Raises:
        TrackingError: when MLflow cannot be asked, or knows no such search.
        StoreAwayError: when it does not answer now.
        ConfigError: when the name is none that a search may have.
    """
    _require_answer(uri)
    with readable(uri):
        client = open_client(uri)
        settings = read_document(client, _require_search(client, uri, given).info.run_id, SETTINGS_FILE).get("settings")
    # Whoever can write into MLflow could call a search so that it leads out of any folder.
    return require_name(str(settings.get("name", given) if isinstance(settings, dict) else given))


def fetch_record(uri: str, given: str, folder: SearchFolder) -> None:
    """Fetch the record of a search from MLflow, over the one that was fetched before; checkpoints are not in it.

    Args:
        uri: MLflow's address.
        given: the name of the search, or of its experiment; of several that one began last.
        folder: where its files are laid; what lies around it becomes the storage of this search alone.

    Raises:
        TrackingError: when MLflow cannot be asked, knows no such search, or has no record of it.
        StoreAwayError: when it does not answer now.
        CheckpointError: when the record is damaged.
        StorageError: when it cannot be written here.
    """
    _require_answer(uri)
    storage = folder.root.parent
    part = storage / f"{folder.name}.part"
    try:
        with readable(uri):
            client = open_client(uri)
            file = _download(client, _require_search(client, uri, given), uri, folder.name, storage)
        shutil.rmtree(part, ignore_errors=True)
        _unpack(file, part, storage)
        shutil.rmtree(folder.root, ignore_errors=True)
        part.rename(folder.root)
    except OSError as error:
        raise StorageError(
            f"{storage} cannot be written ({error.strerror or error}); make room on its disk, or let it be written."
        ) from error


def _require_answer(uri: str) -> None:
    database = database_file(uri)
    # Whoever only reads makes no database where an address is mistyped.
    if database is not None and not database.exists():
        raise TrackingError(f"--tracking-uri {uri}: there is no {database}; give MLflow's address.")
    if problem := check_tracking(uri):
        raise StoreAwayError(f"{problem} Start the server, or give its address.")


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


def _read_whole(file: Path) -> Iterator[bytes]:
    """Yield the lines of a file; of a journal the whole ones, for a process may be writing the next one."""
    with file.open("rb") as stream:
        is_journal = file.suffix == ".jsonl"
        # Not beyond a line without an end, the rest of which may be there a moment later.
        yield from itertools.takewhile(lambda line: line.endswith(b"\n") or not is_journal, stream)


def _download(client: MlflowClient, run: Run, uri: str, name: str, storage: Path) -> Path:
    try:
        with artifact_errors():
            return Path(client.download_artifacts(run.info.run_id, RECORD_FILE, str(storage)))
    except (MlflowException, OSError) as error:
        raise TrackingError(
            f"{mask_uri(uri)} has no record of search {name!r} ({told(error)}); 'python -m search sync {name}', where "
            "its storage is, sends it."
        ) from error


def _require_search(client: MlflowClient, uri: str, given: str) -> Run:
    run = find_search(client, uri, given)
    if run is not None:
        return run
    names = sorted(each.name for each in client.search_experiments() if each.name != "Default")[:_NAMED]
    there = f"there are {', '.join(names)}" if names else "there is none at all"
    raise TrackingError(f"No search {given!r} in {mask_uri(uri)}; {there}. Give MLflow's address with --tracking-uri.")


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
            f"MLflow's {RECORD_FILE} is damaged ({describe_damage(error)}); 'python -m search sync NAME', where its "
            "storage is, mends it."
        ) from error
