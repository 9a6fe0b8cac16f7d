import os

import pytest

from benchmarks.drill.store import open_store
from segcore.bucket import parse_bucket
from segcore.errors import StorageError


def test_a_store_that_was_away_has_what_it_was_given(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with open_store() as store:
        # So that nothing of what this process knows of another store is used.
        port = store.port
        bucket = parse_bucket("storage", f"{store.address}?endpoint_override=127.0.0.1:{port}&scheme=http")
        bucket.write("a", b"kept")
        store.stop()
        with pytest.raises(StorageError):
            bucket.read("a")
        store.start()
        assert bucket.read("a") == b"kept"
        with open_store() as other:
            assert other.address != store.address
        assert os.environ["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{port}"
    assert "AWS_ENDPOINT_URL" not in os.environ
