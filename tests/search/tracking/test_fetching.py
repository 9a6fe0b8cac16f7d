"""A model that is registered in a real MLflow database, and files of it that someone changes."""

import hashlib
import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from search.tracking.fetching import Same, digest_files, fetch_model, find_same, mark_same, note_digest
from segcore.errors import CheckpointError, StorageError, TrackingError

AGAIN = "python -m search retrain streets --storage /s"
CODE = """
import mlflow

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input

mlflow.models.set_model(Model())
"""


@pytest.fixture
def registered(empty_database, tmp_path) -> tuple[str, Path]:
    """MLflow's address, with version 1 of `streets`; and where its files are."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (tmp_path / "model.py").write_text(CODE)
    mlflow.set_tracking_uri(uri)
    try:
        client = MlflowClient(uri)
        experiment = client.create_experiment("streets", artifact_location=(tmp_path / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment):
            mlflow.pyfunc.log_model(
                name="ensemble",
                python_model=str(tmp_path / "model.py"),
                pip_requirements=["mlflow"],
                registered_model_name="streets",
            )
    finally:
        mlflow.set_tracking_uri(None)
    (code,) = (tmp_path / "artifacts").rglob("model.py")
    return uri, code


def test_folder_beside_that_is_called_alike_stays(registered, tmp_path):
    beside = tmp_path / "model.part"
    beside.mkdir()
    with pytest.raises(CheckpointError):
        fetch_model(registered[0], "alleys", "", tmp_path / "model", AGAIN)
    assert beside.is_dir()


def test_model_comes_back_as_it_was_registered_and_loads(registered, tmp_path):
    uri, _ = registered
    (tmp_path / "probe" / "of-a-killed-process").mkdir(parents=True)
    digest = note_digest(uri, "streets", "1", tmp_path / "probe")
    assert not (tmp_path / "probe").exists()
    assert fetch_model(uri, "streets", "", tmp_path / "model", AGAIN) == ("1", digest)
    assert mlflow.pyfunc.load_model(str(tmp_path / "model")).predict([1, 2]) == [1, 2]


@pytest.mark.parametrize("change", ["code", "added", "gone"])
def test_model_whose_files_were_changed_is_not_handed_out(registered, tmp_path, change):
    uri, code = registered
    note_digest(uri, "streets", "1", tmp_path / "probe")
    if change == "code":
        code.write_text("raise SystemExit('someone else runs here')")
    elif change == "added":
        (code.parent / "extra.py").write_text("")
    else:
        (code.parent / "requirements.txt").unlink()
    with pytest.raises(CheckpointError, match="its files were changed after it was registered"):
        fetch_model(uri, "streets", "1", tmp_path / "model", AGAIN)
    assert not list(tmp_path.glob("model*/"))


def make_model(folder: Path) -> Path:
    """A model's directory, each another's."""
    folder.mkdir()
    (folder / "ensemble.json").write_text(folder.name)
    return folder


def test_the_newest_version_is_found_again_while_it_is_the_same_model_and_lies_as_it_was_registered(
    registered, tmp_path
):
    uri, code = registered
    probe, own, another = tmp_path / "probe", make_model(tmp_path / "own"), make_model(tmp_path / "another")
    digest = note_digest(uri, "streets", "1", probe)
    assert find_same(uri, "streets", own, probe) is None, "it was not noted which model it is"
    mark_same(uri, "streets", "1", own)
    assert find_same(uri, "streets", own, probe) == Same(version="1", digest=digest, is_marked=True)
    assert find_same(uri, "streets", another, probe) is None
    assert find_same(uri, "alleys", own, probe) is None
    whole = code.read_text()
    code.write_text("raise SystemExit('someone else runs here')")
    assert find_same(uri, "streets", own, probe) is None
    code.write_text(whole)
    client = MlflowClient(uri)
    files = client.get_model_version_download_uri("streets", "1")
    client.create_model_version("streets", files)
    assert find_same(uri, "streets", own, probe) is None, "another one came behind it"
    assert not probe.exists()


def test_version_whose_files_are_gone_is_not_found_again(registered, tmp_path):
    uri, _ = registered
    own = make_model(tmp_path / "own")
    note_digest(uri, "streets", "1", tmp_path / "probe")
    mark_same(uri, "streets", "1", own)
    (tmp_path / "artifacts").rename(tmp_path / "elsewhere")
    assert find_same(uri, "streets", own, tmp_path / "probe") is None


def test_model_without_a_digest_is_not_handed_out(registered, tmp_path):
    with pytest.raises(CheckpointError, match="registered without a digest"):
        fetch_model(registered[0], "streets", "1", tmp_path / "model", AGAIN)


def test_missing_model_and_taken_folder_are_told(registered, tmp_path):
    with pytest.raises(CheckpointError, match=f"no model 'alleys'; '{AGAIN}' registers it"):
        fetch_model(registered[0], "alleys", "", tmp_path / "model", AGAIN)
    with pytest.raises(TrackingError, match=f"give the --version of another, or run '{AGAIN}'"):
        fetch_model(registered[0], "streets", "9", tmp_path / "model", AGAIN)
    with pytest.raises(StorageError, match="exists; give a folder that does not"):
        fetch_model(registered[0], "streets", "", tmp_path, AGAIN)


def test_files_of_a_model_that_are_on_another_machine_are_told_as_such(registered, tmp_path):
    uri, _ = registered
    note_digest(uri, "streets", "1", tmp_path / "probe")
    (tmp_path / "artifacts").rename(tmp_path / "elsewhere")
    told = rf"models:/streets/1 is in {tmp_path}/artifacts/.*, which is not there or cannot be read on this machine"
    with pytest.raises(CheckpointError, match=told):
        fetch_model(uri, "streets", "", tmp_path / "model", AGAIN)
    assert not list(tmp_path.glob("*model*/"))


def test_digest_is_of_names_and_contents(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.txt").write_bytes(b"1")
    (tmp_path / "a.txt").write_bytes(b"2")
    one, two = (hashlib.sha256(content).hexdigest() for content in (b"1", b"2"))
    assert digest_files(tmp_path) == hashlib.sha256(f"{two}  a.txt\n{one}  b/c.txt\n".encode()).hexdigest()
