import io
import socket
from types import SimpleNamespace

import pytest
from pyarrow.fs import FileInfo, FileType

from segcore.bucket import Bucket, parse_bucket, patiently
from segcore.bucket_address import is_address
from segcore.errors import ConfigError, StorageError, StoreAwayError


@pytest.fixture
def bucket(make_bucket):
    return parse_bucket("storage", f"{make_bucket()}/a/b/")


def test_what_is_written_is_read_listed_and_deleted(bucket, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    bucket.write("x/one.json", b"{}")
    bucket.upload(tmp_path / "file", "x/y/two with a space.bin")
    target = io.BytesIO()
    bucket.download("x/y/two with a space.bin", target)
    assert (bucket.read("x/one.json"), target.getvalue()) == (b"{}", b"0123456789")
    assert [(each.path, each.size) for each in bucket.list_files("x")] == [
        ("one.json", 2), ("y/two with a space.bin", 10),
    ]  # fmt: skip
    assert bucket.list_folders() == ["x"]
    assert bucket.inside("x/y/two with a space.bin").look_up().size == 10
    bucket.delete("x/one.json")
    bucket.delete_folder("x/y")
    assert bucket.list_files() == []


def test_names_that_would_lead_out_of_a_folder_are_left_out(bucket, monkeypatch):
    names = ["../x", "log.txt", "a/../../x", "a/..b", "/etc/x", "/../x"]
    infos = [FileInfo(f"a/b/{name}", FileType.File, mtime=0.0, size=1) for name in names]
    store = SimpleNamespace(get_file_info=lambda selector: infos)
    monkeypatch.setattr(Bucket, "_find", lambda self, path: (store, "a/b"))
    assert [each.path for each in bucket.list_files()] == ["a/..b", "log.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(5, "Input/output error")])
def test_of_a_file_that_was_not_read_to_its_end_no_half_stays(error, bucket, tmp_path, monkeypatch):
    """As where one presses Ctrl-C, or a disk fails."""

    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 10 << 20:
                raise error
            return super().read(size)

    (tmp_path / "file").touch()
    monkeypatch.setattr(type(tmp_path), "open", lambda self, mode: Broken(bytes(20 << 20)))
    with pytest.raises(type(error) if isinstance(error, OSError) else error):
        bucket.upload(tmp_path / "file", "x")
    assert bucket.look_up("x") is None


def test_what_is_not_there_is_none(bucket):
    assert (bucket.read("no"), bucket.look_up("no"), bucket.list_files("no")) == (None, None, [])
    bucket.delete("no")
    bucket.delete_folder("no")


def test_a_name_inside_is_the_same_for_arrow_and_for_an_address(bucket, make_bucket):
    inside = bucket.inside("runs/trial 1")
    assert inside.address == f"{bucket.address}/runs/trial%201"
    name = bucket.base.removeprefix("s3://")
    assert (bucket.relative(f"{name}/runs/trial 1"), bucket.relative("/home/runs")) == ("runs/trial 1", None)


def test_a_store_of_ones_own_is_named_behind_the_question_mark(make_bucket, s3_server, monkeypatch):
    base = make_bucket()
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    bucket = parse_bucket("data", f"{base}/x?scheme=http&endpoint_override={s3_server.removeprefix('http://')}")
    bucket.write("one", b"1")
    assert bucket.inside("one").look_up().size == 1


def test_a_bucket_that_is_not_there_is_told_with_what_to_check(s3_server):
    with pytest.raises(StorageError, match=r"s3://missing/x cannot be written \(.*NO_SUCH_BUCKET.*credentials"):
        parse_bucket("storage", "s3://missing/x").write("one", b"1")


@pytest.mark.parametrize("text", ["foo://x/y", "file:///x", "http://host/x", "s3:/bucket/x", "hdfs://x/y"])
def test_another_kind_of_address_is_refused_with_those_that_are_allowed(text):
    with pytest.raises(ConfigError, match=r"--data .*s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, abfs://CONTAINER@HOST"):
        parse_bucket("data", text)


@pytest.mark.parametrize(
    "text",
    [
        "s3://key:hush@bucket/x",
        "s3://hush@bucket/x",
        "s3://key:hu/hush@bucket/x",
        "abfs://container:hush@host/x",
        "s3://bucket/x?secret_key=hush",
        "s3://bucket/x?endpoint_override=http://key:hush@host:9000",
        "gs://bucket/x?scheme=http&endpoint_override=key:hush@host",
        "abfs://c@host.dfs.core.windows.net/x?sig=hush",
    ],
)
def test_an_address_with_a_secret_is_refused_without_showing_it(text):
    with pytest.raises(ConfigError, match="environment") as caught:
        parse_bucket("storage", text)
    assert "hush" not in str(caught.value)


def test_a_secret_is_not_shown_where_a_slash_was_forgotten_either():
    with pytest.raises(ConfigError) as caught:
        parse_bucket("storage", "s3:/key:hush@bucket/x")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["s3://", "s3:///x", "gs://"])
def test_an_address_without_a_bucket_is_refused(text):
    with pytest.raises(ConfigError, match=r"(s3|gs)://BUCKET/FOLDER"):
        parse_bucket("storage", text)


@pytest.mark.parametrize(
    ("text", "told"),
    [("s3://b/x", True), ("s3:/b/x", True), ("foo://", True), ("/s3:/b", False), ("a/b", False), ("~/s3://b", False)],
)
def test_an_address_is_told_from_a_folder(text, told):
    assert is_address(text) == told


def test_a_store_that_does_not_answer_is_told_from_one_that_refuses(s3_server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(StorageError) as refused:
        parse_bucket("storage", "s3://missing/x").write("one", b"1")
    away = parse_bucket("storage", f"s3://bucket/x?scheme=http&endpoint_override=127.0.0.1:{port}")
    with pytest.raises(StoreAwayError, match="check the address, the network"):
        away.read("one")
    assert not isinstance(refused.value, StoreAwayError)


def test_a_store_that_comes_back_is_waited_for(monkeypatch):
    monkeypatch.setattr("segcore.bucket._PAUSE_SECONDS", 0.0)
    answers = [StoreAwayError("away"), StoreAwayError("away"), None]

    def act():
        if error := answers.pop(0):
            raise error
        return "done"

    assert patiently(act) == "done"
    with pytest.raises(StoreAwayError):
        patiently(lambda: (_ for _ in ()).throw(StoreAwayError("away")), seconds=-1)
    with pytest.raises(StorageError, match="full"):
        patiently(lambda: (_ for _ in ()).throw(StorageError("full")))
