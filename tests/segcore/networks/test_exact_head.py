import pytest
import torch

from segcore.networks.model import build_architecture


@pytest.mark.parametrize(("values", "kind"), [({}, torch.bfloat16), ({"head_precision": "fp32"}, torch.float32)])
def test_precision_of_the_head_decides_that_of_the_logits(make_config, values, kind):
    model = build_architecture(make_config(**values), 3).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits_NCHW = model(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    assert logits_NCHW.dtype is kind


def test_exact_head_is_the_same_network_without_autocast(make_config):
    plain, exact = (
        build_architecture(make_config(head_precision=precision), 3).eval() for precision in ("auto", "fp32")
    )
    exact.load_state_dict(plain.state_dict())
    images_NHW3 = torch.randint(0, 256, (1, 32, 64, 3), dtype=torch.uint8)
    assert torch.equal(exact(images_NHW3), plain(images_NHW3))


def test_gradient_reaches_what_is_below_the_head(make_config):
    model = build_architecture(make_config(head_precision="fp32"), 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits_NCHW = model(torch.zeros(2, 64, 64, 3, dtype=torch.uint8))
    logits_NCHW.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.network.decoder.parameters())


def test_exact_head_has_its_shape_on_the_meta_device(make_config):
    # Where a training asks which images its network takes.
    with torch.device("meta"):
        model = build_architecture(make_config(head_precision="fp32"), 3).eval()
        assert model(torch.zeros(1, 32, 64, 3, dtype=torch.uint8)).shape == (1, 3, 32, 64)
