"""The command: trains what is missing alone, on the device at hand."""

from pathlib import Path

import pytest

from benchmarks.throughput.choices.__main__ import find_missing, main
from benchmarks.throughput.choices.groups import Group
from benchmarks.throughput.choices.rows import add_row, identify, read_rows
from segcore.errors import ConfigError

GROUP = Group(base={}, changes=({"loss": "focal"},), seeds=(0, 1), base_seeds=(0,))


def test_a_second_start_trains_what_is_missing_on_its_device(tmp_path: Path):
    file = tmp_path / "rows.jsonl"
    assert list(read_rows(file)) == []
    # The base without a word of its seed, as of 0; the focal row is another device's.
    add_row(file, {"changes": {}, "device": "cpu"})
    add_row(file, {"changes": {"seed": 1, "loss": "focal"}, "device": "card"})
    with file.open("a") as stream:
        stream.write('{"changes": {"lo')
    add_row(file, {"changes": {"seed": 1, "loss": "focal"}, "device": "cpu"})
    known = {identify(row["device"], row["changes"]): row for row in read_rows(file)}
    missing = find_missing({"a": GROUP, "the same": GROUP}, "cpu", known)
    assert missing == [{"loss": "focal", "seed": 0}], "the row behind the one that was cut off is known"
    assert find_missing({"a": GROUP}, "card", known) == [{"seed": 0}, {"loss": "focal", "seed": 0}]


@pytest.mark.parametrize("told", [{"data": "other"}, {}])
def test_rows_of_other_data_are_no_rows_of_these(tmp_path: Path, dataset_folder: Path, told: dict[str, str]):
    add_row(tmp_path / "rows.jsonl", {"changes": {}, "device": "cpu", "metrics": {}, "seconds": 1.0, **told})
    with pytest.raises(ConfigError, match="holds rows of other data"):
        main([str(dataset_folder), "--out", str(tmp_path), "--cache", str(tmp_path / "cache"), "--minutes", "0"])


def test_an_unknown_group_and_an_unknown_field_are_refused(capsys: pytest.CaptureFixture[str]):
    for words, told in ((("--groups", "los"), "'los' is no group"), (("--set", "epoch=1"), "did you mean epochs")):
        with pytest.raises(SystemExit):
            main(["data", *words])
        assert told in capsys.readouterr().err
