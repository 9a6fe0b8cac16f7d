"""The pictures of trials in MLflow: which are sent, under which key and step.

A picture stands at its epoch, and the latest at step 0 too: there every run has one, whenever it was stopped.

Files are named as `MlflowClient.log_image` names them, which MLflow's page reads. That function itself writes a
photograph as PNG, three to five times as many bytes as here, and encodes it anew for each step.
"""

import hashlib
import io
import re
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES
from PIL import Image

from search.memory.history import History
from segcore.data.decoding import decode_rgb

LATEST_STEP: Final = 0
"""Where the picture of the last epoch that sent one stands."""
FOLDER: Final = "images"
"""Where pictures lie among a run's files."""
ENDING: Final = ".webp"
SMALL_ENDING: Final = "+compressed.webp"
"""Of the small copy beside each."""
_SMALL_SIDE: Final = 256
_QUALITY: Final = 90
_KEY_LETTERS: Final = 60
_DIGEST_LETTERS: Final = 6
_NAME: Final = re.compile(r"([^+]*)\+step\+(\d{1,18})\+timestamp\+(\d{1,18})\+")
"""MLflow's for a picture's file; a person may have put others beside them."""

Known = set[tuple[str, int, int]]
"""Key, step and time in milliseconds since the Unix epoch of each picture."""


def list_picture_keys(history: History) -> list[str]:
    """Return the keys of the pictures that the runs of a stage have."""
    reports = [record for trial in history.in_order for record in list(trial.epochs.values())]
    return sorted({picture_key(shown) for record in reports for shown in record.pictures})


def picture_key(shown: str) -> str:
    """Return what MLflow calls the pictures of what they show; it takes few letters."""
    clean = re.sub(r"[^a-zA-Z0-9_\-. ]", "_", shown)
    if clean == shown and len(shown) <= _KEY_LETTERS:
        return shown
    return f"{clean[:_KEY_LETTERS]}-{hashlib.sha256(shown.encode()).hexdigest()[:_DIGEST_LETTERS]}"


def find_pictures(client: MlflowClient, run_id: str) -> Known:
    """Return which pictures a run has."""
    names = [file.path.rpartition("/")[2] for file in client.list_artifacts(run_id, FOLDER)]
    return {(name[1], int(name[2]), int(name[3])) for name in map(_NAME.match, names) if name is not None}


def send_pictures(
    client: MlflowClient, run_id: str, files: Mapping[str, Path], steps: Sequence[int], stamp: int, known: Known
) -> None:
    """Send the pictures of an epoch that a run lacks; a file that is gone is left out.

    Args:
        client: of the store.
        run_id: of the run.
        files: by what they show.
        steps: where each of them stands.
        stamp: when they were drawn, milliseconds since the Unix epoch.
        known: which pictures the run has; those that are sent are added.
    """
    sent: Known = set()
    with tempfile.TemporaryDirectory() as folder:
        for key, file in ((picture_key(shown), file) for shown, file in files.items()):
            lacking = {(key, step, stamp) for step in steps} - known
            if lacking and file.is_file():
                _write_files(Path(folder), Image.fromarray(decode_rgb(file)), lacking)
                sent |= lacking
        if sent and not known:
            # Before them: a run that has pictures is not looked at again for it, should this break off between.
            client.set_tag(run_id, MLFLOW_LOGGED_IMAGES, "True")
        if sent:
            client.log_artifacts(run_id, folder, FOLDER)
    known |= sent


def _write_files(folder: Path, picture: Image.Image, places: Known) -> None:
    """Write a picture and a small copy of it, which MLflow shows in its charts, for each of its places."""
    small = picture.copy()
    small.thumbnail((_SMALL_SIDE, _SMALL_SIDE))
    whole_bytes, small_bytes = (_encode(each) for each in (picture, small))
    for key, step, stamp in places:
        place = f"{key}+step+{step}+timestamp+{stamp}"
        # Named alike whenever it is sent: one whose answer was lost is replaced, not doubled.
        name = f"{place}+{uuid.uuid5(uuid.NAMESPACE_OID, place)}"
        (folder / f"{name}{ENDING}").write_bytes(whole_bytes)
        (folder / f"{name}{SMALL_ENDING}").write_bytes(small_bytes)


def _encode(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "webp", quality=_QUALITY, method=0)
    return file.getvalue()
