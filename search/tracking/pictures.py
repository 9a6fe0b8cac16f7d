"""The pictures of trials in MLflow: which are sent, under which key and step.

A picture stands at its epoch, and the latest at step 0 too: there every run has one, whenever it was stopped.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mlflow import MlflowClient
from PIL import Image

from search.memory.history import History
from segcore.data.decoding import decode_rgb

LATEST_STEP: Final = 0
"""Where the picture of the last epoch that sent one stands."""
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
    names = [file.path.rpartition("/")[2] for file in client.list_artifacts(run_id, "images")]
    return {(name[1], int(name[2]), int(name[3])) for name in map(_NAME.match, names) if name is not None}


def send_pictures(
    client: MlflowClient, run_id: str, files: Mapping[str, Path], step: int, stamp: int, known: Known
) -> None:
    """Send the pictures of an epoch that a run lacks; a file that is gone is left out.

    Args:
        client: of the store.
        run_id: of the run.
        files: by what they show.
        step: where they stand.
        stamp: when they were drawn, milliseconds since the Unix epoch.
        known: which pictures the run has; those that are sent are added.
    """
    for key, file in ((picture_key(shown), file) for shown, file in files.items()):
        if file.is_file() and (key, step, stamp) not in known:
            picture = Image.fromarray(decode_rgb(file))
            client.log_image(run_id, picture, key=key, step=step, timestamp=stamp)
            known.add((key, step, stamp))
