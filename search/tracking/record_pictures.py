"""The pictures that a report shows, brought from the runs of a search whose storage is not reached."""

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from PIL import Image

from search.insight.record import Record
from search.insight.shown import Shown, choose_shown
from search.tracking.artifacts import artifact_errors
from search.tracking.experiments import find_run, stage_tags
from search.tracking.finding import find_experiment
from search.tracking.pictures import FOLDER, SMALL_ENDING, picture_key
from search.tracking.reading import identify
from search.tracking.store import open_client, readable
from segcore.data.decoding import decode_rgb
from segcore.errors import CheckpointError, DataError

_QUALITY: Final = 90


def fetch_pictures(uri: str, record: Record) -> None:
    """Lay the pictures that show a search where its journal has them; one that cannot be had is left out.

    Args:
        uri: MLflow's address.
        record: of a search that was fetched.

    Raises:
        TrackingError: when MLflow cannot be asked.
    """
    with readable(uri):
        client = open_client(uri)
        experiment = find_experiment(client, record.settings)
        if experiment is None:
            return
        for shown in choose_shown(record):
            own = stage_tags(record.settings, shown.stage_name, identify(shown.stage.journal))
            run = find_run(client, experiment.experiment_id, own, shown.trial.number)
            if run is not None:
                # A report without a picture is still one.
                with suppress(MlflowException, CheckpointError, DataError, OSError), artifact_errors():
                    _fetch(client, run.info.run_id, shown)


def _fetch(client: MlflowClient, run_id: str, shown: Shown) -> None:
    file = shown.stage.resolve(shown.epoch.picture or "")
    named = {path: condition for condition, path in shown.epoch.pictures.items()}
    begin = f"{picture_key(named.get(shown.epoch.picture or '', ''))}+step+{shown.epoch.epoch}+"
    paths = [each.path for each in client.list_artifacts(run_id, FOLDER)]
    alike = [path for path in paths if path.rpartition("/")[2].startswith(begin)]
    sent = next((path for path in alike if not path.endswith(SMALL_ENDING)), None)
    if sent is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        found = Path(client.download_artifacts(run_id, sent, folder))
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(decode_rgb(found)).save(file, "jpeg", quality=_QUALITY)
