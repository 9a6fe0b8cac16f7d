import pytest
import torch

from segcore.networks.auxiliary import AuxiliaryHead, answer_twice
from segcore.networks.model import SegmentationModel, build_architecture


def _network(config, outputs=3):
    model = build_architecture(config, outputs).eval()
    return model, AuxiliaryHead(model.network, outputs).eval()


@pytest.mark.parametrize(
    ("values", "channels"),
    [({}, 256), ({"decoder": "deeplabv3plus"}, 256), ({"backbone": "convnext_atto"}, 160)],
    ids=["strides 2 to 32", "no stride below 16", "strides 4 to 32"],
)
def test_head_looks_at_a_sixteenth_of_the_image(make_config, values, channels):
    model, head = _network(make_config(backbone="resnet18").from_values({"backbone": "resnet18", **values}))
    levels = model.network.encoder(torch.zeros(1, 3, 64, 96))
    assert levels[head.level].shape == (1, channels, 4, 6)


def test_both_answers_are_of_the_images_size_and_the_networks_is_its_own(make_config):
    model, head = _network(make_config(backbone="resnet18"))
    images_NHW3 = torch.randint(0, 256, (2, 40, 70, 3), dtype=torch.uint8)
    logits_NCHW, auxiliary_NCHW = answer_twice(model, head, images_NHW3)
    assert logits_NCHW.shape == auxiliary_NCHW.shape == (2, 3, 40, 70)
    assert torch.equal(logits_NCHW, model(images_NHW3))
    assert not model.network.encoder._forward_hooks


class _PlainTransformer(torch.nn.Module):
    """Gives its levels, and beside them what is no picture."""

    out_channels = (4, 4)

    def forward(self, images_N3HW):
        return [images_N3HW, images_N3HW], [None, None]


class _Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = _PlainTransformer()

    def forward(self, images_N3HW):
        return self.encoder(images_N3HW)[0][-1]


def test_head_looks_at_the_levels_of_an_encoder_that_gives_more():
    model = SegmentationModel(_Network(), (0.5,) * 3, (0.5,) * 3)
    head = AuxiliaryHead(model.network, 2)
    head.layers = torch.nn.Conv2d(3, 2, 1)
    logits_NCHW, auxiliary_NCHW = answer_twice(model, head, torch.zeros(1, 40, 64, 3, dtype=torch.uint8))
    assert (logits_NCHW.shape, auxiliary_NCHW.shape) == ((1, 3, 40, 64), (1, 2, 40, 64))


def test_padding_is_cut_off_the_heads_answer(make_config):
    model, head = _network(make_config(backbone="resnet18"))
    # Answers that grow from left to right show where the image lies in the padded one of 64 x 96.
    columns = torch.arange(6.0).expand(1, 3, 4, 6)
    head.layers = torch.nn.Identity()
    head.forward = lambda levels, height, width: AuxiliaryHead.forward(head, [columns] * 6, height, width)
    _, answer_NCHW = answer_twice(model, head, torch.zeros(1, 64, 70, 3, dtype=torch.uint8))
    # The middle of the third of six columns, pixels 32 to 48, is at 40: 2 there, 0.5 / 16 more or less beside it.
    assert answer_NCHW.shape[3] == 70
    assert answer_NCHW[0, 0, 0, [39, 40]].tolist() == pytest.approx([2 - 0.5 / 16, 2 + 0.5 / 16])
