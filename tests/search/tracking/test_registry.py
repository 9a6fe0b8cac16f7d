import json

import pytest
from mlflow import MlflowClient

from search.tracking.registry import register_model
from search.tracking.runs import StageRuns
from segcore.errors import TrackingError
from segcore.prediction.ensemble_files import ENSEMBLE_FILE


def test_model_that_a_deleted_experiment_cannot_take_is_named_with_the_command_for_afterwards(
    settings, place, stage, script, tmp_path
):
    runs = StageRuns(settings, place, "search", stage)
    MlflowClient(place.tracking_uri).delete_experiment(runs.experiment_id)
    (tmp_path / ENSEMBLE_FILE).write_text(json.dumps({"format": "street-ensemble-3"}))
    with pytest.raises(TrackingError) as caught:
        register_model(settings, place, stage, tmp_path, "retrain streets")
    told = str(caught.value)
    assert told.startswith(f"The ensemble is in {tmp_path}, but MLflow did not take it. MLflow's experiment 'streets'")
    assert f"restore --experiment-id {runs.experiment_id}'" in told
    assert told.endswith("After that, run 'retrain streets' again.")
