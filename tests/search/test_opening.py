import json
import shutil
from dataclasses import replace

import pytest

from search.folder import SearchFolder, folder_of
from search.opening import is_copy, open_search, read_search, remember
from search.place import write_place
from search.settings import write_settings
from segcore.errors import CheckpointError, ConfigError


@pytest.fixture
def folder(make_settings, make_place) -> SearchFolder:
    """A search as `launch` leaves it."""
    settings, place = make_settings(), make_place(max_concurrent=3)
    folder = folder_of(settings, place)
    for stage in folder.stages.values():
        stage.root.mkdir(parents=True, exist_ok=True)
    write_settings(settings, folder.settings)
    write_place(place, folder.place)
    return folder


def test_search_is_read_as_it_was_written(folder, make_settings, make_place):
    settings, place = read_search(folder)
    assert settings == make_settings()
    assert place == make_place(max_concurrent=3, home=folder.root)
    assert open_search(folder, {}) == (settings, place)


def test_search_that_was_moved_goes_on_as_itself(folder, make_settings, tmp_path):
    folder.root.rename(tmp_path / "night")
    moved = SearchFolder(root=tmp_path / "night")
    assert not is_copy(moved)
    settings, place = open_search(moved, {})
    assert settings == make_settings(name="night")
    assert place.storage == tmp_path
    remember(moved, settings, place)
    assert read_search(moved)[1].home == moved.root


def test_copy_gets_an_identity_of_its_own_once(folder, tmp_path):
    copied = SearchFolder(root=tmp_path / "other" / "streets")
    shutil.copytree(folder.root, copied.root)
    assert is_copy(copied)
    settings, place = open_search(copied, {})
    assert settings.search_id != "1d"
    assert read_search(copied)[0].search_id == "1d", "nothing is written before nothing stands against it"
    remember(copied, settings, place)
    assert not is_copy(copied)
    assert read_search(copied)[0] == settings == open_search(copied, {})[0]
    assert read_search(folder)[0].search_id == "1d"
    assert not is_copy(folder)


def test_only_the_identity_is_written_beside_the_place(folder, tmp_path):
    """What was asked of one run, such as more time, is not remembered."""
    copied = SearchFolder(root=tmp_path / "other" / "streets")
    shutil.copytree(folder.root, copied.root)
    settings, place = open_search(copied, {})
    remember(copied, replace(settings, time_budget_seconds=60.0), place)
    assert read_search(copied)[0] == settings


def test_folder_seen_by_another_path_is_no_copy(folder, tmp_path):
    (tmp_path / "mount").symlink_to(folder.root.parent)
    assert not is_copy(SearchFolder(root=tmp_path / "mount" / "streets"))


def test_another_search_that_has_taken_the_former_place_is_no_original(folder, make_settings, make_place, tmp_path):
    moved = SearchFolder(root=folder.root.rename(tmp_path / "moved"))
    folder.root.mkdir()
    write_settings(make_settings(search_id="another"), folder.settings)
    assert not is_copy(moved)
    folder.settings.write_text("{")
    assert not is_copy(moved)


def test_home_that_no_folder_can_have_is_none(folder):
    place = json.loads(folder.place.read_text())
    folder.place.write_text(json.dumps({**place, "home": "/" + "a" * 300}))
    assert not is_copy(folder)


def test_place_that_was_given_is_remembered(folder, tmp_path):
    settings, place = open_search(folder, {"data": tmp_path / "mount", "address": "host:6379", "gpus_per_trial": 1})
    assert (place.data, place.address, place.max_concurrent) == (str(tmp_path / "mount"), "host:6379", 3)
    remember(folder, settings, place)
    assert read_search(folder)[1] == place
    assert open_search(folder, {"address": ""})[1].address == ""


def test_folder_with_a_name_that_no_search_may_have_is_refused(folder, tmp_path):
    named = SearchFolder(root=folder.root.rename(tmp_path / "streets (copy)"))
    with pytest.raises(ConfigError, match=r"--name 'streets \(copy\)'"):
        read_search(named)


def test_search_without_its_place_is_refused_by_the_files_name(folder):
    folder.place.unlink()
    with pytest.raises(CheckpointError, match=r"place\.json cannot be read"):
        open_search(folder, {})


@pytest.mark.parametrize("content", [None, "{", '{"data": "/d", "cpus_per_trial": -1}'])
def test_search_whose_place_is_lost_goes_on_where_its_data_is_said_to_be(folder, make_place, tmp_path, content):
    folder.place.unlink()
    if content is not None:
        folder.place.write_text(content)
    with pytest.raises(CheckpointError, match=r"place\.json cannot be read .* 'retrain' with --data and all else"):
        open_search(folder, {"max_concurrent": 7})
    settings, place = open_search(folder, {"data": tmp_path / "data", "max_concurrent": 7})
    assert place == make_place(max_concurrent=7)
    remember(folder, settings, place)
    assert read_search(folder) == (settings, make_place(max_concurrent=7, home=folder.root))
