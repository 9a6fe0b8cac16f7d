import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from search import copying
from search.copying import copied
from search.finding import find_folder, is_driven_elsewhere, list_names, require_new
from search.folder import SearchFolder
from search.mirror import fetch_search, send_file
from search.place import build_place
from search.requests import Inbox, Request, send_request
from search.storage import find_bucket, locate_storage
from segcore.bucket import Bucket
from segcore.errors import CheckpointError, ConfigError, InterruptedSearchError, StorageError, StoreAwayError

FILES = {
    "settings.json": b"{}",
    "journal.jsonl": b'{"a": 1}\n{"a": 2}\n',
    "trials/0000/log.txt": b"one\n",
    "trials/0000/epoch_0001.jpg": b"jpg",
    "retrain/model/ensemble.json": b"[]",
}


@pytest.fixture
def address(make_bucket: Callable[..., str]) -> str:
    return f"{make_bucket()}/x"


@pytest.fixture
def go_to(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that goes to a machine and returns the folder that search `streets` has there."""

    def go(machine: str) -> Path:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / machine))
        root = locate_storage(address) / "streets"
        root.mkdir(exist_ok=True)
        return root

    return go


@pytest.fixture
def here(go_to: Callable[[str], Path]) -> Path:
    root = go_to("here")
    save(root, FILES)
    return root


@pytest.fixture
def stored(here: Path) -> Bucket:
    bucket = find_bucket(here.parent)
    assert bucket is not None
    return bucket.inside("streets")


def save(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def read(stored: Bucket) -> dict[str, bytes | None]:
    return {each.path: stored.read(each.path) for each in stored.list_files()}


def fetch(root: Path) -> None:
    bucket = find_bucket(root.parent)
    assert bucket is not None
    fetch_search(bucket, root)


def test_all_but_locks_halves_and_rays_own_is_in_the_bucket_in_the_end(here, stored):
    save(here, {".lock": b"", "best.1.tmp": b"", "ray/run/x": b"", "retrain/model.part/m": b""})
    with copied(here):
        save(here, {"best.json": b"{1}"})
    assert read(stored) == {**FILES, "best.json": b"{1}"}


def test_a_half_written_line_of_the_journal_stays_here(here, stored):
    with copied(here):
        save(here, {"journal.jsonl": FILES["journal.jsonl"] + b'{"a"'})
    assert read(stored)["journal.jsonl"] == FILES["journal.jsonl"]


def test_what_changes_is_copied_while_the_search_runs(here, stored, monkeypatch, wait_until):
    monkeypatch.setattr(copying, "_PERIOD_SECONDS", 0.05)
    monkeypatch.setattr(copying, "_REST_FACTOR", 0.0)
    with copied(here):
        wait_until(lambda: stored.read("journal.jsonl") == FILES["journal.jsonl"], "the first copy")
        save(here, {"journal.jsonl": FILES["journal.jsonl"] + b'{"a": 3}\n'})
        wait_until(lambda: (stored.read("journal.jsonl") or b"").endswith(b'{"a": 3}\n'), "the second copy")


def test_what_another_machine_asks_reaches_the_driver_and_leaves_the_bucket(
    here, stored, go_to, monkeypatch, wait_until
):
    monkeypatch.setattr(copying, "_PERIOD_SECONDS", 0.05)
    there = go_to("there")
    with copied(here):
        inbox = Inbox(here)
        send_request(there, Request(kind="stop", reason="asked for elsewhere"))
        wait_until(lambda: inbox.is_stopped, "the request arrives")
    assert inbox.stop.reason == "asked for elsewhere"
    assert [path for path in read(stored) if path.startswith("requests")] == []


def test_a_driver_elsewhere_is_known_to_drive(here, go_to):
    with copied(here):
        assert is_driven_elsewhere(SearchFolder(root=go_to("there")))
        go_to("here")
        assert not is_driven_elsewhere(SearchFolder(root=here)), "it is of this machine"
    assert not is_driven_elsewhere(SearchFolder(root=go_to("there")))


def test_another_machine_goes_on_where_the_first_ended(here, stored, go_to):
    with copied(here):
        pass
    there = go_to("there")
    fetch(there)
    assert {file.name for file in there.iterdir()} == {"settings.json", "journal.jsonl"}
    with copied(there):
        # A log goes on, and MLflow may lack the pictures.
        assert (there / "trials/0000/log.txt").read_bytes() == b"one\n"
        save(there, {"journal.jsonl": FILES["journal.jsonl"] + b'{"a": 3}\n', "trials/0000/log.txt": b"one\ntwo\n"})
    fetch(here)
    assert (here / "journal.jsonl").read_bytes() == FILES["journal.jsonl"] + b'{"a": 3}\n'
    with copied(here):
        assert (here / "trials/0000/log.txt").read_bytes() == b"one\ntwo\n"


def test_a_model_that_another_machine_has_made_since_is_not_replaced_by_the_one_here(here, stored, go_to):
    with copied(here):
        pass
    there = go_to("there")
    fetch(there)
    with copied(there):
        save(there, {"retrain/journal.jsonl": b'{"a": 1}\n', "retrain/model/ensemble.json": b"[new]"})
    go_to("here")
    # A store tells whole seconds.
    os.utime(here / "retrain/model/ensemble.json", (1.0, 1.0))
    fetch(here)
    with copied(here):
        pass
    assert stored.read("retrain/model/ensemble.json") == b"[new]"
    with copied(here):
        save(here, {"retrain/model/ensemble.json": b"[newer]"})
    assert stored.read("retrain/model/ensemble.json") == b"[newer]"


def test_a_network_of_the_size_of_the_one_that_it_replaces_is_copied(here, stored):
    model = {"retrain/model/member_0.safetensors": b"old", "retrain/model/ensemble.json": b"[old]"}
    save(here, model)
    with copied(here):
        pass
    # A store tells whole seconds.
    os.utime(here / "retrain/model/ensemble.json", (1.0, 1.0))
    newer = {"retrain/model/member_0.safetensors": b"new", "retrain/model/ensemble.json": b"[new]"}
    with copied(here):
        save(here, newer)
    assert read(stored) == {**FILES, **newer}


def test_a_driver_killed_as_it_copies_a_model_leaves_none_without_its_folds(here, stored, monkeypatch):
    sent, upload = [], Bucket.upload

    def note(self, file, path):
        sent.append(path)
        upload(self, file, path)

    monkeypatch.setattr(Bucket, "upload", note)
    with copied(here):
        save(here, {"retrain/model/folds.json": b"{}", "retrain/model/member_0.safetensors": b"net"})
    assert sent[-1] == "retrain/model/ensemble.json"


def test_a_model_of_which_a_part_alone_was_copied_is_none(here, stored, monkeypatch):
    with copied(here):
        pass
    upload = Bucket.upload

    def break_off(self, file, path):
        if file.name == "ensemble.json":
            raise StorageError("away")
        upload(self, file, path)

    monkeypatch.setattr(Bucket, "upload", break_off)
    files = {"retrain/model/member_0.safetensors": b"new", "retrain/model/ensemble.json": b"[new]"}
    with pytest.raises(StorageError), copied(here):
        save(here, files)
    assert (stored.read("retrain/model/member_0.safetensors"), stored.read("retrain/model/ensemble.json")) == (
        b"new",
        None,
    )
    monkeypatch.setattr(Bucket, "upload", upload)
    with copied(here):
        pass
    assert read(stored) == {**FILES, **files}


def test_a_bucket_that_does_not_answer_as_a_stage_begins_or_ends_is_waited_for(here, stored, monkeypatch):
    monkeypatch.setattr("segcore.bucket._PAUSE_SECONDS", 0.0)
    refused = set()

    def refuse_first(name):
        act = getattr(Bucket, name)

        def refuse(self, *arguments):
            if name not in refused:
                refused.add(name)
                raise StoreAwayError("away")
            return act(self, *arguments)

        monkeypatch.setattr(Bucket, name, refuse)

    for name in ("write", "list_files", "read", "look_up", "upload"):
        refuse_first(name)
    send_file(here, here / "settings.json")
    with copied(here):
        pass
    assert refused == {"write", "list_files", "read", "look_up", "upload"}
    assert read(stored) == FILES


def test_what_is_only_here_is_not_lost_when_the_bucket_is_behind(here, stored):
    with copied(here):
        pass
    save(here, {"journal.jsonl": FILES["journal.jsonl"] + b'{"a": 3}\n', "settings.json": b"{2}"})
    fetch(here)
    assert (here / "settings.json").read_bytes() == b"{2}"
    with copied(here):
        pass
    assert read(stored)["settings.json"] == b"{2}"


def test_what_is_here_already_is_not_replaced_under_a_driver_that_has_begun_since(here, stored):
    with copied(here):
        pass
    with (here / "journal.jsonl").open("ab") as journal:
        fetch(here)
        journal.write(b'{"a": 3}\n')
    assert (here / "journal.jsonl").read_bytes() == FILES["journal.jsonl"] + b'{"a": 3}\n'


def test_two_that_went_on_apart_are_refused(here, stored):
    with copied(here):
        pass
    stored.write("journal.jsonl", FILES["journal.jsonl"] + b'{"b": 3}\n')
    save(here, {"journal.jsonl": FILES["journal.jsonl"] + b'{"a": 3}\n'})
    with pytest.raises(CheckpointError, match=r"went on apart.*move"):
        fetch(here)


def test_a_search_that_went_on_elsewhere_after_it_was_fetched_is_fetched_again_first(here, stored):
    with copied(here):
        pass
    stored.write("journal.jsonl", FILES["journal.jsonl"] + b'{"b": 3}\n')
    with pytest.raises(CheckpointError, match="went on elsewhere meanwhile; give the command again"), copied(here):
        pytest.fail("begun")
    assert stored.list_files("drivers") == []


def test_a_driver_of_another_machine_is_refused(here, go_to):
    with copied(here), pytest.raises(CheckpointError, match="in use by process"), copied(go_to("there")):
        pytest.fail("two drivers")


def test_a_bucket_that_comes_back_gets_what_it_missed(here, stored, monkeypatch, wait_until):
    upload, failed = Bucket.upload, []

    def fail_twice(self, file, path):
        if len(failed) < 2:
            failed.append(path)
            raise StorageError("away")
        upload(self, file, path)

    monkeypatch.setattr(Bucket, "upload", fail_twice)
    monkeypatch.setattr(copying, "_PERIOD_SECONDS", 0.05)
    told = set()
    with copied(here) as copier:
        wait_until(lambda: told.add(copier.problem) or stored.read("journal.jsonl") is not None, "the copy")
        wait_until(lambda: copier.problem is None, "no problem any more")
    assert told == {None, "away"}
    assert read(stored) == FILES


@pytest.mark.parametrize("ended_by", [None, InterruptedSearchError("Interrupted after 1 of 2 trials.")])
def test_a_bucket_that_stays_away_is_told_at_the_end_with_where_everything_is(here, monkeypatch, ended_by):
    def fail(self, file, path):
        raise StorageError("s3://x cannot be written.")

    monkeypatch.setattr(Bucket, "upload", fail)
    told = f"{ended_by or ''}.*s3://x cannot be written. What it lacks is in {here}.*'python -m search sync streets"
    with pytest.raises(StorageError, match=f"(?s){told}"), copied(here):
        if ended_by is not None:
            raise ended_by


def test_a_folder_that_is_no_mirror_is_left_alone(tmp_path):
    with copied(tmp_path / "streets"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_vanishes_while_it_is_copied_is_no_failure(here, stored, monkeypatch):
    monkeypatch.setattr(copying, "list_files", lambda root: iter([root / "gone", root / "settings.json"]))
    with copied(here):
        pass
    assert read(stored) == {name: FILES[name] for name in ("settings.json", "journal.jsonl")}


def test_a_search_in_the_bucket_is_found_by_its_name(here, stored, go_to, address):
    with copied(here):
        pass
    there = go_to("there").parent
    assert find_folder(there, "streets") == SearchFolder(root=there / "streets")
    with pytest.raises(CheckpointError, match=rf"No search 'other' in {address}; there are streets"):
        find_folder(there, "other")


def test_searches_in_the_bucket_are_listed_on_a_machine_that_has_none(here, go_to):
    with copied(here):
        pass
    assert list_names(go_to("there").parent) == ["streets"]


def test_a_model_is_found_here_and_in_the_bucket(here, stored, go_to):
    with copied(here):
        pass
    there = go_to("there")
    assert SearchFolder(root=here).find_model() == str(here / "retrain/model")
    assert SearchFolder(root=there).find_model() == f"{stored.address}/retrain/model"
    assert SearchFolder(root=there.parent / "other").find_model() == ""


def test_a_name_that_is_taken_in_the_bucket_and_a_bucket_that_is_missing_are_refused_before_a_search(
    here, stored, go_to, make_settings, address, s3_server
):
    with copied(here):
        pass
    there = go_to("there").parent
    with pytest.raises(ConfigError, match=rf"is in {address}; go on with it by .*resume streets --storage {address}"):
        require_new(make_settings(), build_place({"data": here, "storage": there}))
    require_new(make_settings(name="other"), build_place({"data": here, "storage": there}))
    with pytest.raises(StorageError, match="s3://no-such-bucket cannot be written"):
        require_new(make_settings(), build_place({"data": here, "storage": locate_storage("s3://no-such-bucket")}))


def test_checkpoints_are_by_address_and_deleted_inside_of_rays_folder_alone(here, stored):
    stage = SearchFolder(root=here).retrain_stage
    bucket = find_bucket(here.parent)
    name = bucket.base.removeprefix("s3://")
    path = stage.relative(f"{name}/streets/retrain/ray/run/trial_0000/checkpoint_000001")
    assert path == "ray/run/trial_0000/checkpoint_000001"
    stored.write(f"retrain/{path}/state.pt", b"state")
    assert stage.address(path) == f"{stored.address}/retrain/{path}"
    assert (stage.has(path, "state.pt"), stage.has(path, "no.pt")) == (True, False)
    assert stage.fetch(path, "state.pt").read_bytes() == b"state"
    with pytest.raises(CheckpointError, match="missing"):
        stage.fetch(path, "no.pt")
    for outside in ("..", "../ray", "journal.jsonl", f"{name}/streets/retrain/{path}"):
        with pytest.raises(CheckpointError, match=r"not deleted|not inside"):
            stage.delete(outside)
    with copied(here):
        stage.delete(path)
    assert (stored.list_files("retrain/ray"), stage.has(path, "state.pt")) == ([], False)
    with contextlib.suppress(CheckpointError):
        stage.delete(path)


def test_a_checkpoint_stays_in_the_bucket_as_long_as_the_journal_there_names_it(here, stored, monkeypatch):
    stage = SearchFolder(root=here).search_stage
    stored.write("ray/run/1/state.pt", b"state")
    deleted, delete_folder = [], Bucket.delete_folder

    def delete(self, path):
        deleted.append((path, stored.read("journal.jsonl")))
        if len(deleted) == 1:
            raise StoreAwayError("away")
        delete_folder(self, path)

    monkeypatch.setattr(Bucket, "delete_folder", delete)
    monkeypatch.setattr("segcore.bucket._PAUSE_SECONDS", 0.0)
    newer = FILES["journal.jsonl"] + b'{"a": 3}\n'
    with copied(here):
        save(here, {"journal.jsonl": newer})
        stage.delete("ray/run/1")
        assert stored.read("ray/run/1/state.pt") == b"state"
    # A store that does not answer is asked again.
    assert deleted == [("ray/run/1", newer)] * 2
    assert stored.list_files("ray") == []
    assert not (here / ".dropped").exists()


def test_the_journal_in_the_bucket_names_nothing_that_is_only_here(here, stored, monkeypatch):
    """The search goes on while it is copied."""
    upload, picture = Bucket.upload, "trials/0000/epoch_0002.jpg"
    newer = FILES["journal.jsonl"] + b'{"picture": 2}\n'

    def go_on(self, file, path):
        save(here, {picture: b"new", "journal.jsonl": newer})
        upload(self, file, path)

    monkeypatch.setattr(Bucket, "upload", go_on)
    with copied(here) as copier:
        copier.copy()
        assert (stored.read(picture), stored.read("journal.jsonl")) == (None, FILES["journal.jsonl"])
    assert read(stored) == {**FILES, picture: b"new", "journal.jsonl": newer}


def test_a_path_of_another_bucket_is_outside(here):
    with pytest.raises(CheckpointError, match="not inside of"):
        SearchFolder(root=here).search_stage.relative("/elsewhere/streets/ray/x")


def test_a_stop_that_an_earlier_driver_left_in_the_bucket_stops_none_that_began_since(here, go_to):
    send_request(go_to("there"), Request(kind="stop", reason="yesterday", time=0.0))
    go_to("here")
    with copied(here):
        assert not Inbox(here).is_stopped


def test_file_of_the_mirror_that_cannot_be_read_is_named(here, address, go_to):
    with copied(here):
        pass
    root = go_to("elsewhere")
    (root / "settings.json").mkdir()
    bucket = find_bucket(root.parent)
    with pytest.raises(StorageError, match=r"settings\.json cannot be (read|written) \(Is a directory\)"):
        fetch_search(bucket, root)
