"""A search that is sent to MLflow and read back on a machine that has nothing else of it."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.fetched import read_fetched
from search.folder import SearchFolder
from search.insight.record import read_record
from search.memory.journal import read_events
from search.opening import read_search
from search.place import Place, build_place
from search.tracking.documents import SETTINGS_FILE, read_document, write_document
from search.tracking.record_file import RECORD_FILE, fetch_record, find_own_name, pack_record, send_record
from search.tracking.record_pictures import fetch_pictures
from search.tracking.runs import StageRuns
from segcore.errors import CheckpointError, ConfigError, StoreAwayError, TrackingError
from tests.search.report.simulated import simulate_search


@pytest.fixture(scope="module")
def sent(tmp_path_factory, empty_database) -> tuple[SearchFolder, Place]:
    """A search of six trials, confirmed and retrained, in an MLflow of its own."""
    storage = tmp_path_factory.mktemp("sent") / "searches"
    folder = simulate_search(storage, trials=6, workers=2, name="streets")
    shutil.copy(empty_database, storage / "mlflow.db")
    settings, _ = read_search(folder)
    place = build_place({"data": storage, "storage": storage})
    events = list(read_events(folder.search_stage.journal))
    StageRuns(settings, place, "search", folder.search_stage).write(events)
    send_record(place, folder, "confirm")
    return folder, place


def fetch(uri: str, given: str, storage: Path) -> SearchFolder:
    """Fetch a search as the commands do, and return its files."""
    folder = SearchFolder(root=storage / find_own_name(uri, given))
    fetch_record(uri, given, folder)
    return folder


def test_what_is_fetched_is_the_search_with_all_stages_and_no_lock_is_needed_to_know_who_runs_it(sent, tmp_path):
    folder, place = sent
    for _ in range(2):
        fetched = fetch(place.tracking_uri, "streets", tmp_path)
    there, here = read_record(folder), read_record(fetched)
    assert here.history.in_order == there.history.in_order
    assert (here.confirmed, here.best) == (there.confirmed, there.best)
    assert here.retraining.closed == there.retraining.closed
    assert read_fetched(tmp_path).stage == "confirm"
    assert fetched.command("status") == folder.command("status")


def test_pictures_that_a_report_shows_are_brought_from_the_runs(sent, tmp_path):
    _, place = sent
    fetched = fetch(place.tracking_uri, "streets", tmp_path)
    assert not list(fetched.root.glob("trials/**/*.jpg"))
    fetch_pictures(place.tracking_uri, read_record(fetched))
    (picture,) = fetched.root.glob("trials/**/*.jpg")
    assert picture.relative_to(fetched.root) == Path("trials/0000/epoch_0001.jpg")
    assert picture.read_bytes().startswith(b"\xff\xd8")


def test_a_record_has_whole_lines_of_a_journal_that_is_being_written(sent, tmp_path):
    folder = SearchFolder(root=shutil.copytree(sent[0].root, tmp_path / "streets"))
    whole = folder.search_stage.journal.read_bytes()
    folder.search_stage.journal.write_bytes(whole + b'{"event":"epo')
    (tmp_path / "record.zip").write_bytes(pack_record(folder, ""))
    with zipfile.ZipFile(tmp_path / "record.zip") as packed:
        assert packed.read("journal.jsonl") == whole
        assert {"settings.json", "place.json", "folds.json", "confirm/journal.jsonl"} <= set(packed.namelist())


def test_an_unknown_search_is_told_with_those_there_are_and_a_server_that_is_away_as_such(sent, tmp_path):
    _, place = sent
    with pytest.raises(TrackingError, match=r"No search 'other' in sqlite.*; there are streets\."):
        fetch(place.tracking_uri, "other", tmp_path)
    with pytest.raises(StoreAwayError, match=r"127\.0\.0\.1:1 does not answer"):
        fetch("http://127.0.0.1:1", "streets", tmp_path)
    with pytest.raises(TrackingError, match=r"there is no .*mistyped\.db; give MLflow's address"):
        fetch(f"sqlite:///{tmp_path}/mistyped.db", "streets", tmp_path)
    assert not list(tmp_path.glob("*.db"))


def test_a_search_whose_experiment_was_deleted_is_told_so(sent, tmp_path):
    _, place = sent
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name("streets").experiment_id
    client.delete_experiment(experiment)
    try:
        with pytest.raises(TrackingError, match="'streets' is deleted; restore it by"):
            fetch(place.tracking_uri, "streets", tmp_path)
    finally:
        client.restore_experiment(experiment)


@pytest.mark.parametrize("renamed", ["My best search / 2", "..", "it's \\"])
def test_a_search_whose_experiment_was_renamed_is_found_by_either_name_and_keeps_its_own(sent, tmp_path, renamed):
    folder, place = sent
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name("streets")
    client.rename_experiment(experiment.experiment_id, renamed)
    try:
        for given in (renamed, "streets"):
            fetched = fetch(place.tracking_uri, given, tmp_path / "here")
            assert fetched.root == tmp_path / "here" / "streets"
            assert read_record(fetched).best == read_record(folder).best
    finally:
        client.rename_experiment(experiment.experiment_id, "streets")
    assert [each.name for each in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize("name", ["..", "../other", "", "a b", "/etc"])
def test_a_search_that_is_called_otherwise_by_who_can_write_to_mlflow_is_refused(sent, tmp_path, name):
    _, place = sent
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name("streets")
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`search.trial` = '-1'")
    before = read_document(client, parent.info.run_id, SETTINGS_FILE)
    write_document(client, parent.info.run_id, SETTINGS_FILE, {"settings": {"name": name}})
    try:
        with pytest.raises(ConfigError, match="is no name of a search: a name is at most"):
            fetch(place.tracking_uri, "streets", tmp_path)
    finally:
        write_document(client, parent.info.run_id, SETTINGS_FILE, before)


@pytest.fixture
def with_record(sent, tmp_path):
    """Return a function that puts a file in the place of the record, for one test."""
    folder, place = sent
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name("streets")
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`search.trial` = '-1'")

    def put(spoil: Callable[[bytes], bytes] = bytes, **files: str) -> None:
        with zipfile.ZipFile(tmp_path / RECORD_FILE, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in files.items():
                packed.writestr(name, content)
        (tmp_path / RECORD_FILE).write_bytes(spoil((tmp_path / RECORD_FILE).read_bytes()))
        client.log_artifact(parent.info.run_id, str(tmp_path / RECORD_FILE))

    yield put
    send_record(place, folder, "confirm")


def test_nothing_is_unpacked_beside_the_folder_and_only_what_a_record_has(sent, with_record, tmp_path):
    mark = '{"storage": "/data", "stage": "", "seconds": 1}'
    with_record(**{"sent.json": mark, "../../../evil.json": "{}", "run.py": "x", "settings.json": "{}"})
    fetched = fetch(sent[1].tracking_uri, "streets", tmp_path)
    assert sorted(file.name for file in fetched.root.rglob("*")) == ["evil.json", "settings.json"]
    assert not list(tmp_path.parent.glob("evil.json"))


def test_a_damaged_record_is_told_with_the_remedy(sent, with_record, tmp_path):
    with_record(**{"settings.json": "{}"})
    with pytest.raises(CheckpointError, match=r"record\.zip is damaged .*'python -m search sync NAME'"):
        fetch(sent[1].tracking_uri, "streets", tmp_path)


def change_entries(content: bytes, local: int, central: int, number: int) -> bytes:
    """Return a ZIP with another number of two bytes in each of its entries, at these places after their marks."""
    changed = bytearray(content)
    for mark, place in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        for piece in range(content.count(mark)):
            start = -1
            for _ in range(piece + 1):
                start = content.find(mark, start + 1)
            changed[start + place : start + place + 2] = number.to_bytes(2, "little")
    return bytes(changed)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda content: change_entries(content, 6, 8, 1), id="asks for a password"),
        pytest.param(lambda content: change_entries(content, 8, 10, 99), id="packed in an unknown way"),
        pytest.param(lambda content: change_entries(content, 4, 6, 99), id="of a later version"),
        pytest.param(lambda content: content.replace(content[60:64], b"\xff" * 4, 1), id="does not unpack"),
    ],
)
def test_a_record_that_cannot_be_unpacked_is_told_with_the_remedy(sent, with_record, tmp_path, spoil):
    mark = '{"storage": "/data", "stage": "", "seconds": 1}'
    with_record(spoil, **{"settings.json": '{"name": "streets", "space": "demo"}', "sent.json": mark})
    with pytest.raises(CheckpointError, match=r"record\.zip is damaged .*'python -m search sync NAME'"):
        fetch(sent[1].tracking_uri, "streets", tmp_path)


@pytest.mark.parametrize("moment", ["1e30", f"{'0' * 2_000_000}1"], ids=["no moment", "megabytes"])
def test_a_record_that_was_sent_at_no_moment_is_refused(sent, with_record, tmp_path, moment):
    with_record(**{"sent.json": f'{{"storage": "/data", "stage": "", "seconds": {moment}}}', "settings.json": "{}"})
    with pytest.raises(CheckpointError, match=r"record\.zip is (damaged|larger)"):
        fetch(sent[1].tracking_uri, "streets", tmp_path)
