"""Pictures in MLflow: named as it names them itself, small enough for many, and never there twice."""

from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from search.tracking.pictures import ENDING, SMALL_ENDING, find_pictures, send_pictures
from segcore.data.decoding import decode_rgb


@pytest.fixture
def client(place) -> MlflowClient:
    return MlflowClient(place.tracking_uri)


@pytest.fixture
def run_id(client, tmp_path) -> str:
    experiment = client.create_experiment("streets", artifact_location=str(tmp_path / "artifacts"))
    return str(client.create_run(experiment).info.run_id)


@pytest.fixture
def drawn(tmp_path) -> Path:
    """A picture of 600 x 300 pixels."""
    file = tmp_path / "day.jpg"
    Image.linear_gradient("L").resize((600, 300)).convert("RGB").save(file, quality=95)
    return file


def list_names(client: MlflowClient, run_id: str) -> list[str]:
    return sorted(file.path.removeprefix("images/") for file in client.list_artifacts(run_id, "images"))


def test_files_are_named_as_mlflow_names_them(client, run_id, drawn, tmp_path):
    """Its page finds pictures by these names."""
    other = client.create_run(client.get_run(run_id).info.experiment_id).info.run_id
    client.log_image(other, Image.open(drawn), key="day", step=3, timestamp=17)
    send_pictures(client, run_id, {"day": drawn}, [3], 17, set())
    for theirs, ours in zip(list_names(client, other), list_names(client, run_id), strict=True):
        named, ending = theirs.rpartition("+compressed")[0] or theirs.rpartition(".")[0], theirs.partition(".")[2]
        assert ours.startswith(named[:-36]), "all but the last 36 letters, which are drawn"
        assert ending in {"png", "webp"}
    assert find_pictures(client, other) == find_pictures(client, run_id) == {("day", 3, 17)}
    assert [client.get_run(each).data.tags["mlflow.loggedImages"] for each in (other, run_id)] == ["True", "True"]


def test_a_picture_is_sent_whole_and_small(client, run_id, drawn, tmp_path):
    send_pictures(client, run_id, {"day": drawn}, [3], 17, set())
    small, whole = (Path(client.download_artifacts(run_id, f"images/{name}")) for name in list_names(client, run_id))
    assert small.name.endswith(SMALL_ENDING)
    assert whole.name.endswith(ENDING)
    assert decode_rgb(small).shape == (128, 256, 3)
    assert decode_rgb(whole).shape == (300, 600, 3)
    assert np.abs(decode_rgb(whole).astype(int) - decode_rgb(drawn)).mean() < 2


def test_what_a_run_has_is_not_sent_again_and_what_is_sent_twice_is_there_once(client, run_id, drawn):
    known = set()
    send_pictures(client, run_id, {"day": drawn}, [0, 3], 17, known)
    assert known == {("day", 0, 17), ("day", 3, 17)}
    before = list_names(client, run_id)
    send_pictures(client, run_id, {"day": drawn}, [0, 3], 17, set())
    assert list_names(client, run_id) == before
    drawn.unlink()
    send_pictures(client, run_id, {"day": drawn, "night": drawn}, [0, 3, 4], 17, known)
    assert len(before) == 4
    assert list_names(client, run_id) == before
