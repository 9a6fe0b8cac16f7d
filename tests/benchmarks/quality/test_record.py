from types import SimpleNamespace

import pytest

from benchmarks.pool import Ended
from benchmarks.quality.__main__ import main
from benchmarks.quality.record import _record, draw_configuration, read_table, write_table
from segcore.errors import ConfigError, TrainingError

HEAD = {"space": "demo", "epochs": 2, "fixed": {"backbone": "tf_efficientnet_lite0"}}
HEAD["facts"] = {"smallest_side": 64, "images": 12}


def test_file_that_is_no_table_of_trainings_is_refused(tmp_path):
    (tmp_path / "other.parquet").write_text("text")
    with pytest.raises(ConfigError, match="is no table of trainings"):
        read_table(tmp_path / "other.parquet")


def test_a_configuration_depends_on_its_number_alone_and_keeps_what_is_fixed():
    drawn = [draw_configuration(HEAD, number) for number in (0, 1, 0)]
    assert drawn[0] == drawn[2] != drawn[1]
    assert {each.values["backbone"] for each in drawn} == {"tf_efficientnet_lite0"}


def test_record_trains_what_is_missing_and_refuses_another_table(tmp_path, monkeypatch, capsys, dataset_folder):
    file = tmp_path / "new" / "new.parquet"

    def record(*words: str) -> None:
        values = ("weights=none", "decoder_channels=16", "backbone=tf_efficientnet_lite0", "input_mode=full")
        place = ("--data", dataset_folder, "--out", file, "--cache", tmp_path / "cache")
        sets = (word for value in values for word in ("--set", value))
        monkeypatch.setattr("sys.argv", ["quality", "record", *map(str, place), *sets, "--space", "demo", *words])
        main()

    fixed = {"weights": "none", "decoder_channels": 16, "backbone": "tf_efficientnet_lite0", "input_mode": "full"}
    shared = {**HEAD, "epochs": 1, "folds": 3, "every": 2, "fixed": fixed}
    marks = {"configuration": 0, "fold": 0, "seed": 0, "params": "{}", "run": 0}
    first = {**marks, "epoch": 1, "score": 0.5, "miou": 0.25, "seconds": 2.0, "memory_gib": 0.0, "ended": ""}
    file.parent.mkdir()
    write_table(file, {**shared, "runs": [{"at_once": 1}]}, [first])
    small = ("--seeds", "1", "--folds", "3", "--fold", "0", "--every", "2")
    record(*small, "--epochs", "1", "--configurations", "3", "--at-once", "2")
    head, rows = read_table(file)
    assert [run["at_once"] for run in head["runs"]] == [1, 2]
    # Configuration 0 was not trained again.
    assert rows[0] == first
    found = sorted((each["configuration"], each["epoch"], each["ended"], each["run"]) for each in rows)
    assert found == [(0, 1, "", 0), (1, 1, "", 1), (2, 1, "", 1)]
    assert all(each["seconds"] > 0 and 0 <= each["score"] <= 1 and 0 <= each["miou"] <= 1 for each in rows)
    with pytest.raises(SystemExit):
        record(*small, "--epochs", "2")
    assert "give another --out" in capsys.readouterr().err


def test_trainings_that_fail_one_after_the_other_end_the_recording(tmp_path):
    job = SimpleNamespace(marks={"configuration": 0, "fold": 0, "seed": 0})
    row = {**job.marks, "params": "{}", "run": 0, "epoch": 1, "score": 0.5, "seconds": 2.0, "ended": ""}
    fails, trained = Ended(job=job, error="why"), Ended(job=job, result=[row])
    rows: list[dict] = []
    with pytest.raises(TrainingError, match="5 trainings in a row failed"):
        _record(tmp_path / "table.parquet", HEAD, rows, iter([*[fails] * 4, trained, *[fails] * 9]))
    assert rows == [row]
    assert len(read_table(tmp_path / "table.parquet")[1]) == 1
