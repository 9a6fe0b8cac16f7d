import pytest

from search.mirror import note_dropped, read_dropped, send_file
from search.storage import find_bucket, locate_storage
from segcore.bucket import Bucket
from segcore.errors import StorageError


def test_a_file_that_the_bucket_does_not_take_is_told_with_where_it_is(make_bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    here = locate_storage(make_bucket()) / "streets"
    here.mkdir()
    (here / "best.json").write_bytes(b"{}")
    send_file(here, here / "best.json")
    bucket = find_bucket(here.parent)
    assert bucket is not None
    assert bucket.read("streets/best.json") == b"{}"

    def fail(self, file, path):
        raise StorageError("s3://x cannot be written.")

    monkeypatch.setattr(Bucket, "upload", fail)
    with pytest.raises(StorageError, match=rf"cannot be written. What it lacks is in {here}.*search sync streets"):
        send_file(here, here / "best.json")


def test_a_note_that_a_full_disk_tore_keeps_no_other_from_being_read(tmp_path):
    note_dropped(tmp_path, "ray/run/1")
    with (tmp_path / ".dropped").open("a", encoding="utf-8") as stream:
        stream.write('"ray/ru')
    assert read_dropped(tmp_path) == ["ray/run/1"]
    note_dropped(tmp_path, "ray/run/3")
    assert read_dropped(tmp_path) == ["ray/run/1", "ray/run/3"]
