import shlex
from pathlib import Path

from segcore.data.sources.advice import check_command, init_command


def test_command_can_be_pasted_whatever_the_folder_is_called():
    assert shlex.split(init_command(Path("/data/my streets; rm"))) == [
        "python", "-m", "segcore", "init", "/data/my streets; rm",
    ]  # fmt: skip
    assert shlex.split(check_command(Path("my streets")))[3:] == ["check", "my streets"]
