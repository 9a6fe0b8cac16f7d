"""What a node says of itself, on this machine, without Ray; the whole command is run in `commands/test_doctor.py`."""

import shutil
import socket
from pathlib import Path

import pytest

from search.run.health import digest_code, digest_packages, examine_here
from search.run.probe import meet_in
from segcore.bucket import parse_bucket


@pytest.fixture
def answer(make_place, dataset_folder, tmp_path, monkeypatch):
    """Return a function that looks at this machine."""
    monkeypatch.setattr("search.run.health._find_weights_problem", lambda: "")

    def look(data: str | Path | None = dataset_folder, doors: tuple = (), **place: object):
        built = make_place(cache=tmp_path / "cache", **place)
        meeting = meet_in(built.storage)
        meeting.call()
        return examine_here(built, None if data is None else str(data), meeting, "node", doors)

    return look


def test_a_sound_machine_says_so(answer):
    found = answer()
    assert (found.images, found.data_problem, found.shut, found.mlflow_shut) == (12, "", (), "")
    assert found.code == digest_code()
    assert found.probe.storage_problem == ""
    assert found.temp_free_gib > 0
    assert 0 < found.temp_used_share < 1


def test_data_that_cannot_be_read_is_told(answer, tmp_path):
    found = answer(data=tmp_path / "none")
    assert found.images is None
    assert f"{tmp_path / 'none'}" in found.data_problem
    assert answer(data=None).data_problem == ""


def test_data_elsewhere_is_looked_for_and_not_fetched(answer, tmp_path, make_bucket):
    address = make_bucket()
    assert f"{address} is empty or not there" in answer(data=address).data_problem
    parse_bucket("data", address).write("seg_train_images/a.jpg", b"image")
    found = answer(data=address)
    assert (found.images, found.data_problem) == (None, "")
    assert not (tmp_path / "cache").exists()
    assert "none.zip cannot be read" in answer(data=str(tmp_path / "none.zip")).data_problem


def test_who_does_not_answer_is_named(answer, find_free_port):
    free = find_free_port()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        doors = (("node a", "127.0.0.1", port), ("node b", "127.0.0.1", free))
        found = answer(doors=doors, tracking_uri=f"http://user:PW@127.0.0.1:{free}")
        assert found.shut == (f"node b at 127.0.0.1:{free}",)
        assert found.mlflow_shut == f"MLflow at 127.0.0.1:{free}", "without the password"
        assert answer(tracking_uri=f"http://127.0.0.1:{port}").mlflow_shut == ""


def test_a_token_that_others_may_read_is_told(answer, tmp_path, monkeypatch):
    token = tmp_path / "token"
    token.write_text("secret")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    token.chmod(0o644)
    assert answer().open_token == str(token)
    token.chmod(0o600)
    assert answer().open_token == ""


def test_code_is_the_same_wherever_it_lies_and_another_when_it_is_changed(tmp_path):
    for place in ("here", "there"):
        folder = tmp_path / place / "spaces"
        folder.mkdir(parents=True)
        (folder / "a.py").write_text("a = 1\n")
        (folder / "a.pyc").write_text(place)
    here, there = tmp_path / "here" / "spaces", tmp_path / "there" / "spaces"
    assert digest_packages([here]) == digest_packages([there])
    shutil.move(there / "a.py", there / "b.py")
    assert digest_packages([here]) != digest_packages([there])
