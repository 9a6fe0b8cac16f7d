import shutil
from functools import partial

import pytest
from typer.testing import CliRunner

from segcore.__main__ import app
from segcore.commands import data as commands_data
from segcore.commands.console import bring_shown, console
from segcore.data.caching.build import prepare_cache
from segcore.data.dataset import read_dataset
from segcore.errors import CheckpointError, ConfigError


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs the command on a folder of caches and returns what it prints, in one line."""

    monkeypatch.setattr(console, "_width", 240)

    def invoke(*options):
        arguments = ["cache", "--cache", str(tmp_path / "cache"), *options]
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    return invoke


@pytest.fixture
def prepared(make_dataset, tmp_path):
    return prepare_cache(read_dataset(make_dataset()), tmp_path / "cache")


def test_caches_are_listed_and_one_is_removed_by_its_key(run, prepared, tmp_path):
    assert f"{tmp_path}/cache: 1 cache, 0.0 MiB" in run()
    shown = run("--verify")
    assert prepared.name[:12] in shown
    assert f"{tmp_path}/data 4" in shown
    assert "current" in shown
    assert "1 cache read: every pixel is what was written." in shown
    assert f"removed {prepared.name}" in run("--remove", prepared.name[:12])
    assert not prepared.exists()
    assert f"{tmp_path}/cache: 0 caches" in run()


def test_data_of_a_long_path_is_shown_whole(make_dataset, tmp_path, monkeypatch):
    data = make_dataset(name="a" * 90)
    prepare_cache(read_dataset(data), tmp_path / "cache")
    monkeypatch.setattr(console, "_width", 80)
    shown = CliRunner().invoke(app, ["cache", "--cache", str(tmp_path / "cache")]).output
    assert "…" not in shown
    assert shown.count("a") > 90


def test_nothing_there_is_no_mistake(run, tmp_path):
    assert run() == f"{tmp_path}/cache: 0 caches, 0.0 MiB"


def test_old_caches_and_leftovers_are_removed_and_the_current_stay(run, prepared, tmp_path):
    old = shutil.copytree(prepared, prepared.with_name("1" * 32))
    (old / "index.json").write_text('{"format": "street-cache-4", "cases": []}')
    part = shutil.copytree(prepared, prepared.with_name("2" * 32 + ".4242.part"))
    shown = run()
    assert "of another version" in shown
    assert "1 unfinished" in shown
    shown = run("--remove-old")
    assert f"removed {old.name}" in shown
    assert f"{tmp_path}/cache: 1 cache" in shown
    assert (old.exists(), part.exists(), prepared.exists()) == (False, False, True)


def test_damage_is_told_with_the_key_and_what_to_do(run, prepared):
    content = bytearray((prepared / "images.u8").read_bytes())
    content[0] ^= 1
    (prepared / "images.u8").write_bytes(content)
    assert "current" in run()
    with pytest.raises(CheckpointError, match=rf"remove them with --remove.*\n  - {prepared.name}: .*train_0000 first"):
        run("--verify")


def test_unknown_key_is_refused_with_those_there_are(run, prepared):
    with pytest.raises(ConfigError, match=rf"no cache has this key.*there are: {prepared.name}"):
        run("--remove", "zzz")


def test_training_says_what_decoding_takes_and_only_when_it_decodes(make_dataset, tmp_path):
    data = make_dataset(*[(64, 64)] * 4)
    arguments = ["train", str(data), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--folds", "2"]
    for value in ("backbone=tf_efficientnet_lite0", "weights=none", "decoder_channels=16", "crop_size=32", "epochs=1"):
        arguments += ["--set", value]
    shown = " ".join(CliRunner().invoke(app, arguments, catch_exceptions=False).output.split())
    assert f"decoding 4 images: 0.1 MiB in {tmp_path}/cache, about 1 s" in shown
    assert "decoding 4 images" not in CliRunner().invoke(app, arguments, catch_exceptions=False).output


def test_data_that_was_unpacked_is_checked_listed_and_removed(run, make_dataset, tmp_path, monkeypatch):
    """An archive is given where a folder is, and lies in the folder of caches of whoever reads it."""
    monkeypatch.setattr(commands_data, "bring_shown", partial(bring_shown, root=tmp_path / "cache"))
    archive = shutil.make_archive(str(tmp_path / "streets"), "gztar", make_dataset())
    done = CliRunner().invoke(app, ["check", archive, "--folds", "2"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert f"unpacking 0.0 MiB: {archive} into {tmp_path}/cache/fetched" in " ".join(done.output.split())
    assert "1 data set that was fetched or unpacked, 0.0 MiB; --remove-fetched removes them" in run()
    assert f"removed {tmp_path}/cache/fetched/" in run("--remove-fetched")
    assert "fetched or unpacked" not in run()


def test_data_that_a_killed_start_did_not_fetch_whole_is_shown_and_removed_with_what_is_old(run, tmp_path):
    part = tmp_path / "cache" / "fetched" / f"{'a' * 32}.1.part"
    part.mkdir(parents=True)
    assert "1 unfinished: being made now, or left by a start that was killed" in run()
    assert "unfinished" not in run("--remove-old")
    assert not part.exists()
