"""A compiled network trains as the plain one, is used where it pays, and is done without where it fails."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from segcore.feeding.batch import Batch
from segcore.machine import Machine
from segcore.networks.model import SegmentationModel
from segcore.scratch import locked_folder
from segcore.training import compiling
from segcore.training.compiling import CompiledNetwork, choose_forward, keep_compiled, pays
from segcore.training.epoch import set_training, take_step
from segcore.training.losses import build_loss
from segcore.training.state import new_state

NEEDS_COMPILER = pytest.mark.skipif(
    shutil.which("g++") is None or not Path(sysconfig.get_paths()["include"], "Python.h").exists(),
    reason="compiling needs g++ and Python's headers",
)
COMPILING = Machine(compile="on")


@pytest.fixture
def no_choice(monkeypatch, tmp_path):
    """Nobody says where compiled code is kept; and temporary folders are made where nothing else is."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


def _kept():
    return Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])


def test_compiled_code_is_kept_beside_the_caches_where_nobody_else_writes(no_choice, tmp_path):
    mask = os.umask(0)
    try:
        keep_compiled(tmp_path / "cache")
    finally:
        os.umask(mask)
    assert _kept() == tmp_path / "cache" / f"compiled-{os.getuid()}"
    assert _kept().stat().st_mode & 0o777 == 0o700
    keep_compiled(tmp_path / "another")
    assert _kept().parent == tmp_path / "cache", "what is said stays"


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_folder_that_torch_names_by_itself_is_no_choice(no_choice, monkeypatch, tmp_path, elsewhere):
    named = Path(default_cache_dir())
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "another" / named.name if elsewhere else named))
    keep_compiled(tmp_path / "cache")
    assert _kept() == tmp_path / "cache" / f"compiled-{os.getuid()}"


@pytest.mark.parametrize("planted", ["link", "dangling", "file", "open"])
def test_what_others_may_have_planted_is_not_run(no_choice, tmp_path, planted):
    folder, theirs = tmp_path / f"compiled-{os.getuid()}", tmp_path / "theirs"
    if planted == "file":
        folder.write_text("")
    elif planted == "open":
        folder.mkdir()
        folder.chmod(0o777)
    else:
        folder.symlink_to(theirs)
    if planted == "link":
        theirs.mkdir()
    keep_compiled(tmp_path)
    assert _kept().parent == tmp_path / "temporary"
    assert _kept().stat().st_mode & 0o777 == 0o700


def test_what_a_killed_worker_compiled_is_deleted_by_the_next_and_that_of_a_live_one_is_not(no_choice, tmp_path):
    temporary, file = tmp_path / "temporary", tmp_path / "file"
    file.touch()
    program = (
        "import os, signal, sys; from pathlib import Path; from segcore.training.compiling import keep_compiled\n"
        "keep_compiled(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    said = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    killed = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        env={**said, "TMPDIR": str(temporary)},
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    (left,) = temporary.glob("street-compiled-*")
    with locked_folder("street-compiled-", temporary) as live:
        keep_compiled(file)
        assert set(temporary.glob("street-compiled-*")) == {live, _kept()}
        assert left.name.startswith("street-compiled-") and left != _kept() and _kept().stat().st_mode & 0o777 == 0o700


def _state(config):
    state = new_state(config, 4, Machine())
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.Conv2d(8, 4, 1)
    )
    network.encoder = torch.nn.Identity()
    state.model = SegmentationModel(network, (0.5,) * 3, (0.5,) * 3)
    state.optimizer = torch.optim.SGD([{"params": list(state.model.parameters()), "rate_factor": 1.0}], lr=0.1)
    return state


def _batch(size, seed=0):
    random = torch.Generator().manual_seed(seed)
    return Batch(
        images_NHW3=torch.randint(0, 256, (size, 32, 32, 3), dtype=torch.uint8, generator=random),
        target_NHW=torch.randint(0, 4, (size, 32, 32), dtype=torch.uint8, generator=random),
    )


def test_compiling_pays_where_a_fifth_of_all_steps_is_longer_than_a_minute_and_a_half():
    assert pays(4501, 0.1)
    assert not pays(4499, 0.1)


def test_a_cpu_and_who_does_not_want_it_compile_nothing(make_config):
    state = _state(make_config())
    for machine in (Machine(), Machine(device="cuda:0", compile="off")):
        assert choose_forward(state, _batch(2), build_loss(state.config, None), machine, 1 << 20) == ""
        assert state.forward is None


def test_other_shapes_go_through_the_plain_network():
    network = CompiledNetwork(compiled=lambda _: "compiled", plain=lambda _: "plain", shape=torch.Size((2, 32, 32, 3)))
    assert network(_batch(2).images_NHW3) == "compiled"
    assert network(_batch(1).images_NHW3) == "plain"


def test_a_compiler_that_fails_is_told_and_the_training_is_as_without(make_config, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("no compiler\nfor this")

    monkeypatch.setattr(torch, "compile", fail)
    state = _state(make_config())
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    note = choose_forward(state, _batch(2), build_loss(state.config, None), COMPILING, 1)
    assert note == "the network is not compiled (RuntimeError: no compiler); it trains as well, not as fast"
    assert state.forward is None
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.model.state_dict().items())
    assert all(parameter.grad is None for parameter in state.model.parameters())


@pytest.mark.parametrize(
    ("asked", "compiled_seconds", "note"),
    [
        ("auto", 0.05, ""),
        ("auto", 0.2, "the compiled network takes 200 ms a step, the plain one 100"),
        ("on", 0.2, ""),
    ],
)
def test_a_compiled_network_is_used_where_it_is_faster_or_asked_for(
    make_config, monkeypatch, asked, compiled_seconds, note
):
    seconds = iter([0.1, compiled_seconds])
    monkeypatch.setattr(compiling, "time_step", lambda *arguments: next(seconds))
    monkeypatch.setattr(torch, "compile", lambda model, dynamic: model)
    state, machine = _state(make_config()), Machine(device="cuda:0", compile=asked)
    # 0.1 s a step and a million of them pay.
    assert choose_forward(state, _batch(2), build_loss(state.config), machine, 1 << 20) == note
    assert (state.forward is None) is bool(note)


def test_of_too_little_memory_to_compile_nothing_is_told(make_config, monkeypatch):
    def fail(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(compiling, "time_step", fail)
    state = _state(make_config())
    assert choose_forward(state, _batch(2), build_loss(state.config), COMPILING, 1) == ""
    assert state.forward is None


@pytest.mark.slow
@NEEDS_COMPILER
def test_a_compiled_network_learns_what_the_plain_one_learns_under_the_same_names(make_config, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("torch._inductor.config.compile_threads", 1)
    plain, compiled = _state(make_config()), _state(make_config())
    loss = build_loss(plain.config, None)
    assert choose_forward(compiled, _batch(2), loss, COMPILING, 1) == ""
    for seed in (1, 2):
        for state in (plain, compiled):
            set_training(state)
            take_step(state, [_batch(2, seed)], loss, Machine())
    # Else each step went through the plain network.
    assert compiled.forward.shape == _batch(2, 1).images_NHW3.shape
    found, expected = compiled.model.state_dict(), plain.model.state_dict()
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-4)


def test_training_with_a_second_head_is_not_compiled_and_says_why(make_config):
    state = new_state(make_config(backbone="test_efficientnet", auxiliary_weight=0.4), 4, Machine())
    assert "auxiliary_weight" in choose_forward(state, _batch(2), build_loss(state.config), COMPILING, 1000)
    # Nobody asked for it.
    gpu = Machine(device="cuda:0", compile="auto")
    assert choose_forward(state, _batch(2), build_loss(state.config), gpu, 1 << 20) == ""
    assert state.forward is None
