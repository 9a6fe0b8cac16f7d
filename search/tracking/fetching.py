"""Registered models brought back out of MLflow: as they were registered, or not at all.

Loading such a model runs the code in it, and whoever can write where MLflow keeps files can change that code. So a
digest of its files stands beside the version in MLflow's database, and is compared before anything of it runs. It
guards against whoever can write the files, not against whoever can write the database too.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from search.tracking.artifacts import artifact_errors
from search.tracking.store import open_client, told
from search.tracking_uri import unmask_uri
from segcore.errors import CheckpointError, StorageError, TrackingError

_TAG: Final = "street.sha256"
_MODEL: Final = "street.model_sha256"
"""Of the files that the retraining wrote; MLflow adds others to them, which differ with each registration."""
_INSIDE: Final = "artifacts"
"""Where MLflow keeps the folders that a model is registered with."""
_ADDED: Final = "registered_model_meta"
"""MLflow's client writes it into what it fetched."""


def note_digest(uri: str, name: str, version: str, folder: Path) -> str:
    """Fetch a version that was just registered, and keep the digest of its files beside it.

    Args:
        uri: MLflow's address.
        name: of the registered model.
        version: of the model.
        folder: where it is fetched to for the time being, by one process at a time.

    Returns:
        The digest.

    Raises:
        MlflowException: when MLflow cannot be asked.
        OSError: when it cannot be written.
    """
    client = open_client(uri)
    # Who was killed here left it behind.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        digest = digest_files(_download(uri, name, version, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    client.set_model_version_tag(name, version, _TAG, digest)
    return digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Same:
    """A version that is the very model, and lies as it was registered.

    Args:
        version: its number.
        digest: of its files.
        is_marked: whether it was introduced, too; else whoever registered it was interrupted.
    """

    version: str
    digest: str
    is_marked: bool


def find_same(uri: str, name: str, model: Path, folder: Path) -> Same | None:
    """Return the newest version, where it is the very model and lies as it was registered; else None.

    Args:
        uri: MLflow's address.
        name: of the registered model.
        model: the model's directory.
        folder: where it is fetched to for the time being, by one process at a time.
    """
    client, own = open_client(uri), digest_files(model)
    try:
        version = _find_newest(client, name)
        tags = client.get_model_version(name, version).tags if version else {}
        if _TAG in tags and tags.get(_MODEL, own) == own:
            fetched = _download(uri, name, version, folder)
            is_same = _MODEL in tags or digest_files(fetched / _INSIDE / model.name) == own
            if is_same and digest_files(fetched) == tags[_TAG]:
                return Same(version=version, digest=tags[_TAG], is_marked=_MODEL in tags)
    # One that cannot be had is registered anew.
    except (CheckpointError, MlflowException, OSError):
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return None


def mark_same(uri: str, name: str, version: str, model: Path) -> None:
    """Note the digest of a model's own files with its version, once that is registered and introduced.

    Args:
        uri: MLflow's address.
        name: of the registered model.
        version: its number.
        model: the model's directory.

    Raises:
        MlflowException: when MLflow cannot be asked.
    """
    open_client(uri).set_model_version_tag(name, version, _MODEL, digest_files(model))


def fetch_model(uri: str, name: str, version: str, folder: Path, again: str) -> tuple[str, str]:
    """Copy a registered model into a folder, when its files are those that were registered.

    Args:
        uri: MLflow's address.
        name: of the registered model.
        version: of the model; empty: the newest.
        folder: must not exist.
        again: the command that registers the model anew.

    Returns:
        Version and digest.

    Raises:
        CheckpointError: when there is no such model, or its files were changed or are elsewhere.
        StorageError: when the folder exists or cannot be written.
        TrackingError: when MLflow cannot be asked.
    """
    if folder.exists():
        raise StorageError(f"{folder} exists; give a folder that does not, the model is copied there.")
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        client = open_client(uri)
        version = version or _require_newest(client, name, again)
        noted = client.get_model_version(name, version).tags.get(_TAG, "")
        fetched = _download(uri, name, version, part)
        digest = digest_files(fetched)
        _require_noted(f"models:/{name}/{version}", digest, noted, again)
        fetched.rename(folder)
    except MlflowException as error:
        raise TrackingError(
            f"The model {name!r} cannot be fetched ({told(error).rstrip(':')}); give the --version of another, or run "
            f"'{again}', which registers a new one."
        ) from error
    except OSError as error:
        raise StorageError(f"{folder} cannot be written ({error}); make room or give another folder.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return version, digest


def digest_files(folder: Path) -> str:
    """Return the SHA-256 of all files in a folder: of a line with digest and path for each, in the order of paths."""
    lines = []
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        path = file.relative_to(folder).as_posix()
        if path != _ADDED:
            with file.open("rb") as stream:
                lines.append(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {path}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _download(uri: str, name: str, version: str, folder: Path) -> Path:
    # An address such as models:/streets/1 would be looked up in MLflow's address of the whole process.
    files = open_client(uri).get_model_version_download_uri(name, version)
    if (path := _find_path(files)) is not None and not os.access(path, os.R_OK | os.X_OK):
        raise CheckpointError(
            f"models:/{name}/{version} is in {path}, which is not there or cannot be read on this machine; let it be "
            "read here, or fetch the model on a machine where it is."
        )
    folder.mkdir(parents=True)
    with artifact_errors():
        # It makes a folder in the one it is given.
        made = mlflow.artifacts.download_artifacts(
            artifact_uri=files, dst_path=str(folder), tracking_uri=unmask_uri(uri)
        )
    return Path(made)


def _find_path(files: str) -> str | None:
    """Return the folder that an address of MLflow's files names; None where it is elsewhere than in a folder."""
    return local_file_uri_to_path(files) if is_local_uri(files) else None


def _find_newest(client: MlflowClient, name: str) -> str:
    """Return the newest version of a model; empty when there is none."""
    return max((str(each.version) for each in client.search_model_versions(f"name = '{name}'")), key=int, default="")


def _require_newest(client: MlflowClient, name: str, again: str) -> str:
    version = _find_newest(client, name)
    if not version:
        raise CheckpointError(f"MLflow has no model {name!r}; '{again}' registers it.")
    return version


def _require_noted(address: str, digest: str, noted: str, again: str) -> None:
    if not noted:
        raise CheckpointError(
            f"{address} was registered without a digest of its files, so they may be anyone's; run '{again}', "
            "which registers a new version."
        )
    if digest != noted:
        raise CheckpointError(
            f"{address}: its files were changed after it was registered (SHA-256 {digest}, was {noted}). Do not load "
            f"it: that runs code in it. Close MLflow's files to others, and run '{again}', which registers a new "
            "version."
        )
