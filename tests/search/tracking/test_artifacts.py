import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from search.tracking.artifacts import artifact_errors
from search.tracking.documents import read_document
from search.tracking.reports import log_report
from search.tracking.runs import StageRuns
from segcore.errors import StorageError, TrackingError


def test_what_a_store_of_files_raises_is_mlflows_and_says_what_it_needs():
    told = r"^RuntimeError: no keys; this machine itself has to reach the store"
    with pytest.raises(MlflowException, match=told), artifact_errors():
        raise RuntimeError("no\nkeys")


@pytest.mark.parametrize("error", [StorageError("full"), OSError("full"), MlflowException("full")])
def test_what_is_known_stays_as_it_is(error):
    with pytest.raises(type(error), match=r"^full$"), artifact_errors():
        raise error


@pytest.fixture
def bucket_without_keys(place, monkeypatch, tmp_path) -> None:
    """The experiment's files are in a bucket whose keys this machine lacks."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    MlflowClient(place.tracking_uri).create_experiment("streets", artifact_location="s3://none/files")


@pytest.mark.usefixtures("bucket_without_keys")
def test_a_bucket_without_keys_is_told_with_what_it_needs(settings, place, stage, script, tmp_path):
    script.ask(0)
    runs = StageRuns(settings, place, "search", stage)
    assert "credentials" in runs.set_aside["files"]
    page = tmp_path / "report.html"
    page.write_text("page")
    with pytest.raises(TrackingError, match=r"NoCredentialsError: .* its keys\); then '.* sync .*' sends it"):
        log_report(settings, place, stage, page)
    assert read_document(MlflowClient(place.tracking_uri), runs.parent_id, "settings.json") == {}
