import shlex
from pathlib import Path

from segcore.data.sources.advice import check_command, init_command, tell_other_labels


def test_command_can_be_pasted_whatever_the_folder_is_called():
    assert shlex.split(init_command(Path("/data/my streets; rm"))) == [
        "python", "-m", "segcore", "init", "/data/my streets; rm",
    ]  # fmt: skip
    assert shlex.split(check_command(Path("my streets")))[3:] == ["check", "my streets"]


def test_lists_of_classes_are_no_outlines(tmp_path):
    for name in ("names.txt", "LabelMap.txt"):
        (tmp_path / name).write_text("")
    assert tell_other_labels(tmp_path, []) == ""
    (tmp_path / "a.txt").write_text("0 0.1 0.2 0.3 0.4 0.5 0.6")
    assert "If the labels are outlines (.txt: 1)" in tell_other_labels(tmp_path, [])


def test_lines_of_json_are_no_pictures(tmp_path):
    (tmp_path / "metadata.jsonl").write_text("{}")
    assert tell_other_labels(tmp_path, []) == ""
    (tmp_path / "export.ndjson").write_text("{}")
    told = tell_other_labels(tmp_path, [])
    assert "If the labels are outlines (.ndjson: 1)" in told and "save them as PNG" not in told
