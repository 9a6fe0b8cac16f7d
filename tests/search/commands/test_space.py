import re

import huggingface_hub
import pytest
from typer.testing import CliRunner

from search.__main__ import app
from segcore.errors import ConfigError


def test_space_for_the_data_is_written_once(dataset_folder, tmp_path):
    file = tmp_path / "mine.py"
    command = ["space", "auto", "--data", str(dataset_folder), "--cache", str(tmp_path / "cache"), "--device-gib", "8"]
    printed = CliRunner().invoke(app, command, catch_exceptions=False)
    assert printed.exit_code == 0 and "def auto(trial: optuna.Trial)" in printed.stdout
    assert CliRunner().invoke(app, [*command, "--out", str(file)], catch_exceptions=False).exit_code == 0
    assert file.read_text() == printed.stdout
    other = tmp_path / "streets.py"
    assert CliRunner().invoke(app, [*command, "--out", str(other)], catch_exceptions=False).exit_code == 0
    assert "--space streets:auto --epochs" in other.read_text()
    with pytest.raises(ConfigError, match=r"my-space\.py cannot be imported by --space; use letters"):
        CliRunner().invoke(app, [*command, "--out", str(tmp_path / "my-space.py")], catch_exceptions=False)
    with pytest.raises(ConfigError, match=r"mine\.py is there already, and may hold changes; choose another name"):
        CliRunner().invoke(app, [*command, "--out", str(file)], catch_exceptions=False)


def test_space_of_a_machine_without_a_way_to_the_hub_draws_what_is_installed(dataset_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    command = ["space", "auto", "--data", str(dataset_folder), "--cache", str(tmp_path / "cache"), "--device-gib", "0"]
    printed = CliRunner().invoke(app, command, catch_exceptions=False)
    (drawn,) = re.findall(r"BACKBONES = \(\n(.*?)\)", printed.stdout, re.DOTALL)
    assert re.findall(r'"(.*)"', drawn) == ["tf_efficientnet_lite0", "tf_efficientnet_lite2"]
    told = "Not drawn, for their ImageNet weights cannot be had here: resnet18d, mobilenetv4_conv_medium, mit_b0."
    assert told in printed.stdout
    written = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "mine.py")], catch_exceptions=False)
    assert told in " ".join(written.output.split())


def test_memory_that_no_gpu_has_is_refused():
    with pytest.raises(ConfigError, match=r"--device-gib -1 is no memory of a GPU; give GiB, such as 24"):
        CliRunner().invoke(app, ["space", "auto", "--data", ".", "--device-gib", "-1"], catch_exceptions=False)
