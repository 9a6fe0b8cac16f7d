import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from segcore.__main__ import app
from segcore.errors import ConfigError, ExportError
from segcore.machine import Machine
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble_files import load_ensemble, save_ensemble
from segcore.prediction.export import OPSET, export_onnx

RANDOM = np.random.default_rng(5)


@pytest.fixture
def make_model(make_config, classes, tmp_path):
    """Return a function that writes and loads a model of random weights."""

    def make(members=1, outputs=4, **values):
        config = make_config(**{"backbone": "test_efficientnet", **values})
        torch.manual_seed(0)
        states = (build_architecture(config, outputs).state_dict() for _ in range(members))
        save_ensemble(tmp_path / "model", states, config=config, classes=classes, notes={})
        return load_ensemble(tmp_path / "model", Machine())

    return make


def _run(file, images_NHW3):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images_NHW3})[0]


def _metadata(file):
    return {entry.key: entry.value for entry in onnx.load(file).metadata_props}


@pytest.mark.parametrize("decoder", ["unet", "manet", "fpn", "deeplabv3plus", "upernet"])
def test_file_gives_the_models_probabilities_at_any_size_and_batch(make_model, tmp_path, decoder):
    ensemble = make_model(decoder=decoder)
    report = export_onnx(ensemble, tmp_path / "x.onnx")
    assert report.largest_difference < 1e-4
    for batch, height, width in ((1, 33, 100), (3, 64, 64)):
        images_NHW3 = RANDOM.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
        found_NCHW = _run(tmp_path / "x.onnx", images_NHW3)
        assert found_NCHW.shape == (batch, 4, height, width)
        for found_CHW, image_HW3 in zip(found_NCHW, images_NHW3, strict=True):
            np.testing.assert_allclose(found_CHW, ensemble.probabilities(image_HW3).numpy(), atol=1e-4)


@pytest.mark.parametrize("decoder", ["fpn", "pan"])
def test_file_of_a_network_that_has_a_smallest_side_takes_images_below_and_above_it(make_model, tmp_path, decoder):
    """The narrowest FPN pads to 64 pixels, PAN to 128; what traces the network sees 70 and 101."""
    ensemble = make_model(decoder=decoder)
    export_onnx(ensemble, tmp_path / "m.onnx")
    for shape in ((1, 20, 140, 3), (1, 140, 20, 3)):
        images_NHW3 = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        expected_OHW = ensemble.probabilities(images_NHW3[0]).numpy()
        np.testing.assert_allclose(_run(tmp_path / "m.onnx", images_NHW3)[0], expected_OHW, atol=1e-4)


def test_file_of_a_network_trained_with_bce_gives_each_output_its_own_probability(make_model, tmp_path):
    ensemble = make_model(loss="bce")
    export_onnx(ensemble, tmp_path / "x.onnx")
    images_NHW3 = RANDOM.integers(0, 256, (1, 33, 40, 3), dtype=np.uint8)
    expected_CHW = ensemble.members[0].network(torch.from_numpy(images_NHW3))[0].detach().sigmoid().numpy()
    np.testing.assert_allclose(_run(tmp_path / "x.onnx", images_NHW3)[0], expected_CHW, atol=1e-4)


def test_attention_and_a_backbone_of_another_kind_are_exported(make_model, tmp_path):
    ensemble = make_model(attention="scse", backbone="test_resnet")
    assert export_onnx(ensemble, tmp_path / "x.onnx").largest_difference < 1e-4


def test_file_of_one_size_takes_no_other(make_model, tmp_path):
    export_onnx(make_model(), tmp_path / "x.onnx", size=(40, 50))
    images_NHW3 = RANDOM.integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
    assert _run(tmp_path / "x.onnx", images_NHW3).shape == (3, 4, 40, 50)
    with pytest.raises(Exception, match="invalid dimensions"):
        _run(tmp_path / "x.onnx", images_NHW3[:, :32])


def test_metadata_names_the_class_of_each_output_and_how_to_resize(make_model, classes, tmp_path):
    export_onnx(make_model(labels="scored", outputs=3, input_mode="resize", scale=0.5), tmp_path / "x.onnx")
    metadata = _metadata(tmp_path / "x.onnx")
    assert json.loads(metadata["outputs"]) == ["car", "person", None]
    assert json.loads(metadata["scale"]) == 0.5
    assert json.loads(metadata["classes"])["classes"][1] == {"name": "car", "rgb": [0, 0, 255]}
    assert onnx.load(tmp_path / "x.onnx").opset_import[0].version == OPSET
    export_onnx(make_model(), tmp_path / "x.onnx")
    assert json.loads(_metadata(tmp_path / "x.onnx")["outputs"]) == list(classes.names)
    assert json.loads(_metadata(tmp_path / "x.onnx")["scale"]) == 1.0


def test_scale_is_that_of_one_look_where_the_model_averages_over_several(make_model, tmp_path):
    several = make_model(input_mode="resize", scale=0.5).with_options({"scales": (0.75, 1.0, 1.25)})
    export_onnx(several, tmp_path / "x.onnx")
    assert json.loads(_metadata(tmp_path / "x.onnx")["scale"]) == 0.5


def test_folder_is_no_file_to_write_and_a_neighbouring_file_is_kept(make_model, tmp_path, monkeypatch):
    ensemble = make_model()
    monkeypatch.chdir(tmp_path)
    for folder in (Path(), tmp_path, Path("/")):
        with pytest.raises(ExportError, match="is a folder; give the name of a file"):
            export_onnx(ensemble, folder)
    (tmp_path / "x.onnx.part").write_text("mine")
    export_onnx(ensemble, Path("x.onnx"), size=(32, 32))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model", "x.onnx", "x.onnx.part"]


def test_one_of_several_members_must_be_chosen(make_model, tmp_path):
    ensemble = make_model(members=2)
    with pytest.raises(ConfigError, match="--member 0 to 1"):
        export_onnx(ensemble, tmp_path / "x.onnx")
    with pytest.raises(ConfigError, match="--member 2 does not exist"):
        export_onnx(ensemble, tmp_path / "x.onnx", member=2)
    export_onnx(ensemble, tmp_path / "x.onnx", member=1)
    images_NHW3 = RANDOM.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected_NCHW = ensemble.members[1].network(torch.from_numpy(images_NHW3)).softmax(dim=1).numpy()
    np.testing.assert_allclose(_run(tmp_path / "x.onnx", images_NHW3), expected_NCHW, atol=1e-4)


class _Fickle(nn.Module):
    """Answers otherwise for images of another height than it was traced with: a trace keeps one of the branches."""

    def __init__(self, model, height):
        super().__init__()
        self.model = model
        self.height = height

    def forward(self, images_NHW3):
        return self.model(images_NHW3) * (1.0 if int(images_NHW3.shape[1]) == self.height else 2.0)


class _Unknown(nn.Module):
    """Computes what ONNX has no operator for."""

    def forward(self, images_NHW3):
        return torch.linalg.eigvals(images_NHW3[..., 0].float())


def test_file_that_answers_otherwise_is_refused_and_an_older_one_kept(make_model, tmp_path):
    ensemble = make_model()
    (member,) = ensemble.members
    fickle = replace(ensemble, members=(replace(member, network=_Fickle(member.network, 70)),))
    (tmp_path / "x.onnx").write_bytes(b"older")
    with pytest.raises(ExportError, match=r"differ from PyTorch's by .*; give --height and --width"):
        export_onnx(fickle, tmp_path / "x.onnx")
    assert (tmp_path / "x.onnx").read_bytes() == b"older"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model", "x.onnx"]
    export_onnx(fickle, tmp_path / "x.onnx", size=(70, 64))


def test_network_that_onnx_cannot_hold_is_refused_with_a_remedy(make_model, tmp_path):
    ensemble = make_model()
    unknown = replace(ensemble, members=(replace(ensemble.members[0], network=_Unknown()),))
    with pytest.raises(ExportError, match=r"cannot be written as ONNX .*; choose another decoder or backbone"):
        export_onnx(unknown, tmp_path / "x.onnx", size=(32, 32))
    assert not (tmp_path / "x.onnx").exists()


def test_model_is_the_same_after_an_export(make_model, tmp_path):
    ensemble = make_model(decoder="upernet")
    image_HW3 = RANDOM.integers(0, 256, (48, 48, 3), dtype=np.uint8)
    before_CHW = ensemble.probabilities(image_HW3)
    poolings = [str(module) for module in ensemble.members[0].network.modules()]
    export_onnx(ensemble, tmp_path / "x.onnx")
    assert torch.equal(ensemble.probabilities(image_HW3), before_CHW)
    assert [str(module) for module in ensemble.members[0].network.modules()] == poolings


def test_command_prints_the_largest_difference_and_wants_both_sides(make_model, tmp_path):
    make_model()
    arguments = ["export", str(tmp_path / "model"), str(tmp_path / "x.onnx"), "--cpus", "1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "largest difference" in result.output and f"opset {OPSET}" in result.output
    result = CliRunner().invoke(app, [*arguments, "--height", "64"])
    assert isinstance(result.exception, ConfigError)


def test_file_of_halved_weights_is_smaller_and_answers_alike(make_model, tmp_path):
    ensemble = make_model()
    export_onnx(ensemble, tmp_path / "whole.onnx", size=(32, 32))
    report = export_onnx(ensemble, tmp_path / "half.onnx", size=(32, 32), half=True)
    whole, half = ((tmp_path / f"{name}.onnx").stat().st_size for name in ("whole", "half"))
    assert half < 0.65 * whole
    assert 0 < report.largest_difference < 2e-3


def test_halved_weights_that_answer_otherwise_are_to_be_whole(make_model, tmp_path, monkeypatch):
    monkeypatch.setattr("segcore.prediction.export.HALF_TOLERANCE", 0.0)
    with pytest.raises(ExportError, match=r"differ from PyTorch's by .*, more than 0; leave --half out\.$"):
        export_onnx(make_model(), tmp_path / "half.onnx", size=(32, 32), half=True)


@pytest.mark.parametrize("name", ["x.pt", "x"])
def test_file_called_otherwise_than_what_it_is_is_refused(make_model, tmp_path, name):
    with pytest.raises(ExportError, match=r"is ONNX and nothing else; call it x\.onnx\."):
        export_onnx(make_model(), tmp_path / name)
    assert not (tmp_path / name).exists()
