import time
from pathlib import Path

import pytest

from search.fetched import Fetched, encode_fetched, mark_fetched, read_fetched
from search.folder import SearchFolder
from search.storage import name_storage


def mark(storage: Path, stage: str = "confirm", ago: float = 0.0, where: str = "/data/all searches") -> None:
    mark_fetched(storage, encode_fetched(Fetched(storage=where, stage=stage, seconds=time.time() - ago)))


def test_a_driver_that_was_last_heard_of_long_ago_runs_nothing_now(tmp_path):
    for ago, driven in ((0.0, "confirm"), (600.0, "confirm"), (3600.0, "")):
        mark(tmp_path, ago=ago)
        assert read_fetched(tmp_path).driven == driven


def test_commands_and_paths_name_the_search_s_own_storage_and_not_where_it_was_fetched_to(tmp_path):
    folder = SearchFolder(root=tmp_path / "streets")
    folder.model.mkdir(parents=True)
    assert folder.find_model() == str(folder.model)
    mark(tmp_path)
    assert name_storage(tmp_path) == "/data/all searches"
    assert folder.command("status") == "python -m search status streets --storage '/data/all searches'"
    assert folder.search_stage.address(folder.model) == "/data/all searches/streets/retrain/model"
    assert folder.find_model() == "/data/all searches/streets/retrain/model"


def test_what_is_no_mark_is_none(tmp_path):
    assert read_fetched(tmp_path) is None
    with pytest.raises(ValueError, match="validation error"):
        mark_fetched(tmp_path, b'{"storage": 3}')
    assert read_fetched(tmp_path) is None
