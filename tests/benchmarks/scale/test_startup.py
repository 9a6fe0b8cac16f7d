import subprocess
import sys

import pytest

from benchmarks.scale.startup import list_commands, measure, write_search
from search.memory.journal import read_history


def test_command_that_fails_is_no_measurement():
    assert measure([sys.executable, "-c", "pass"]) >= 0
    with pytest.raises(subprocess.CalledProcessError):
        measure([sys.executable, "-c", "raise SystemExit(3)"])


def test_search_that_commands_look_at_has_ended(tmp_path):
    history = read_history(write_search(tmp_path, "drawn", 5).search_stage.journal, "iou")
    assert [trial.last_epoch for trial in history.in_order] == [1, 9, 1, 9, 1]
    assert history.unfinished == []


def test_every_command_of_the_search_succeeds(tmp_path):
    for name, command in list_commands(tmp_path).items():
        if name.startswith("search"):
            assert measure(command) > 0
