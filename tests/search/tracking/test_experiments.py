import pytest
from mlflow import MlflowClient

from search.tracking.experiments import ensure_experiment


@pytest.mark.parametrize("kind", ["sqlite", "sqlite+pysqlite"])
def test_files_of_a_database_without_a_server_lie_in_the_storage(kind, make_settings, make_place, place):
    uri = place.tracking_uri.replace("sqlite", kind, 1)
    made = ensure_experiment(MlflowClient(uri), make_settings(), make_place(tracking_uri=uri))
    experiment = MlflowClient(place.tracking_uri).get_experiment(made)
    assert experiment.artifact_location == (place.storage / "mlartifacts" / "streets").as_uri()
