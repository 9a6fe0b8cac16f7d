import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segcore.data.classes import VOID
from segcore.data.labels import build_label_map
from segcore.machine import Machine
from segcore.networks.model import SegmentationModel
from segcore.prediction.options import PredictOptions
from segcore.prediction.predict import (
    average_probabilities,
    predict_classes,
    predict_probabilities,
)

MACHINE = Machine()


@pytest.mark.parametrize(
    "values",
    [
        {"input_mode": "full"},
        {"input_mode": "crop", "crop_size": 32},
        {"input_mode": "resize", "scale": 0.4},
    ],
)
def test_probabilities_have_the_original_size_and_sum_to_one(model, make_config, values):
    image_HW3 = np.random.default_rng(0).integers(0, 256, (51, 77, 3), np.uint8)
    probabilities_CHW = predict_probabilities(model, image_HW3, make_config(**values), MACHINE)
    assert probabilities_CHW.shape == (4, 51, 77)
    assert probabilities_CHW.dtype == torch.float32
    torch.testing.assert_close(probabilities_CHW.sum(dim=0), torch.ones(51, 77))


def test_network_sees_the_whole_image_unless_it_was_trained_on_resized_ones(knowing, make_config, cache):
    for values in (
        {"input_mode": "full"},
        {"input_mode": "crop", "crop_size": 32},
        {"input_mode": "resize", "scale": 0.25},
    ):
        predict_probabilities(knowing, cache.image_HW3(0), make_config(**values), MACHINE)
    # 64 x 96 and a quarter of it.
    assert knowing.sizes == [(1, 64, 96), (1, 64, 96), (1, 16, 24)]


def test_resized_prediction_is_enlarged_bilinearly(model, make_config, cache):
    image_HW3 = cache.image_HW3(0)
    found = predict_probabilities(model, image_HW3, make_config(input_mode="resize", scale=0.5), MACHINE)
    small_HW3 = cv2.resize(image_HW3, (48, 32), interpolation=cv2.INTER_AREA)
    with torch.inference_mode():
        small_1CHW = model(torch.from_numpy(small_HW3)[None]).softmax(dim=1)
    expected = F.interpolate(small_1CHW, size=(64, 96), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(found, expected)


def test_lower_precision_still_gives_fp32_probabilities(model, make_config, cache):
    exact = predict_probabilities(model, cache.image_HW3(0), make_config(precision="fp32"), MACHINE)
    rough = predict_probabilities(model, cache.image_HW3(0), make_config(precision="bf16"), MACHINE)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough.sum(dim=0), torch.ones(64, 96))
    assert not torch.equal(exact, rough)


def test_knowing_network_predicts_the_truth(knowing, make_config, cache, classes):
    class_of_output = torch.from_numpy(build_label_map(classes, "full").class_of_output)
    prediction_HW = predict_classes(knowing, cache.image_HW3(0), class_of_output, make_config(), MACHINE)
    assert prediction_HW.dtype == torch.uint8
    truth_HW = cache.mask_HW(0)
    valid_HW = truth_HW != VOID
    # JPEG blurs a few pixels at the edges of rectangles.
    assert (prediction_HW.numpy() == truth_HW)[valid_HW].mean() > 0.97


LOOKS = [
    {"mode": "full"},
    {"mode": "resize", "scale": 0.5},
    {"mode": "tiles", "tile_size": 32},
    {"mode": "overlap", "tile_size": 32, "overlap": 0.5},
    {"mode": "overlap", "tile_size": 512},
    {"mode": "full", "scales": (0.75, 1.0, 1.25)},
    {"mode": "resize", "scale": 2.0},
]


@pytest.fixture(scope="module")
def pixelwise():
    """A network of one 1x1 convolution: the answer for a pixel depends on that pixel alone."""
    torch.manual_seed(0)
    return SegmentationModel(nn.Conv2d(3, 4, 1), (0.4, 0.5, 0.6), (0.2, 0.2, 0.2)).eval()


def _noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("values", LOOKS)
def test_every_way_of_looking_gives_probabilities_of_the_original_size(model, make_config, values, flip):
    options = PredictOptions(**values, flip=flip)
    probabilities_CHW = predict_probabilities(model, _noise(51, 77), make_config(), MACHINE, options)
    assert probabilities_CHW.shape == (4, 51, 77)
    assert probabilities_CHW.dtype == torch.float32
    assert probabilities_CHW.min() >= 0
    torch.testing.assert_close(probabilities_CHW.sum(dim=0), torch.ones(51, 77), atol=1e-5, rtol=0)


@pytest.mark.parametrize("values", [look for look in LOOKS if look["mode"] != "resize" and "scales" not in look])
def test_tiles_of_a_pixelwise_network_equal_the_whole_image(pixelwise, make_config, values):
    image_HW3 = _noise(51, 77)
    full_CHW = predict_probabilities(pixelwise, image_HW3, make_config(), MACHINE)
    found_CHW = predict_probabilities(pixelwise, image_HW3, make_config(), MACHINE, PredictOptions(**values))
    torch.testing.assert_close(found_CHW, full_CHW, atol=1e-5, rtol=0)


@pytest.mark.parametrize("values", LOOKS)
def test_uniform_image_has_one_answer_in_every_mode(pixelwise, make_config, values):
    image_HW3 = np.full((51, 77, 3), (200, 30, 90), np.uint8)
    full_CHW = predict_probabilities(pixelwise, image_HW3, make_config(), MACHINE)
    options = PredictOptions(**values, flip=True)
    found_CHW = predict_probabilities(pixelwise, image_HW3, make_config(), MACHINE, options)
    torch.testing.assert_close(found_CHW, full_CHW, atol=1e-5, rtol=0)
    assert torch.equal(found_CHW.argmax(dim=0), full_CHW.argmax(dim=0))


@pytest.mark.parametrize("values", [look for look in LOOKS if "scales" not in look])
def test_flipping_makes_a_prediction_symmetric(model, make_config, values):
    image_HW3 = _noise(51, 77)
    options = PredictOptions(**values, flip=True)
    found_CHW = predict_probabilities(model, image_HW3[:, ::-1], make_config(), MACHINE, options)
    expected_CHW = predict_probabilities(model, image_HW3, make_config(), MACHINE, options).flip(2)
    torch.testing.assert_close(found_CHW, expected_CHW, atol=1e-5, rtol=0)
    once_CHW = predict_probabilities(model, image_HW3, make_config(), MACHINE, PredictOptions(**values))
    assert (once_CHW.flip(2) - found_CHW).abs().max() > 1e-3, "the network is symmetric without flipping"


def test_flip_and_scales_average_what_each_look_says(model, make_config):
    image_HW3, config = _noise(64, 96), make_config()

    def look(pixels_HW3):
        with torch.inference_mode():
            probabilities_1CHW = model(torch.from_numpy(np.array(pixels_HW3))[None]).softmax(dim=1)
        return F.interpolate(probabilities_1CHW, size=(64, 96), mode="bilinear", align_corners=False)[0]

    small_HW3 = cv2.resize(image_HW3, (48, 32), interpolation=cv2.INTER_AREA)
    large_HW3 = cv2.resize(image_HW3, (144, 96), interpolation=cv2.INTER_LINEAR)
    looks = [look(pixels_HW3) for pixels_HW3 in (small_HW3, large_HW3)]
    looks += [look(pixels_HW3[:, ::-1]).flip(2) for pixels_HW3 in (small_HW3, large_HW3)]
    found_CHW = predict_probabilities(model, image_HW3, config, MACHINE, PredictOptions(flip=True, scales=(0.5, 1.5)))
    torch.testing.assert_close(found_CHW, sum(looks) / 4, atol=1e-5, rtol=0)


def test_network_sees_the_tiles_that_were_asked_for(knowing, make_config, cache):
    options = PredictOptions(mode="overlap", tile_size=32, overlap=0.5)
    predict_probabilities(knowing, cache.image_HW3(0), make_config(), MACHINE, options)
    # 64 x 96 in steps of 16: 3 rows of 5 tiles, four at a time.
    assert knowing.sizes == [(4, 32, 32)] * 3 + [(3, 32, 32)]
    knowing.sizes.clear()
    config = make_config(input_mode="crop", crop_size=64)
    predict_probabilities(knowing, cache.image_HW3(0), config, MACHINE, PredictOptions(mode="tiles"))
    # One row of two tiles of the training's crop size, the second shifted inside.
    assert knowing.sizes == [(2, 64, 64)]


class Certain(nn.Module):
    """A network that gives every pixel the same logits."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, images_NHW3):
        return self.logits.view(1, -1, 1, 1).expand(-1, -1, *images_NHW3.shape[1:3])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # 1 / (1 + e^3) of each alone; both unlikely, which a share of two cannot say.
        ("bce", [0.0474, 0.0474]),
        ("2*bce", [0.0474, 0.0474]),
        ("ce", [0.5, 0.5]),
        # Jaccard takes the softmax, so the sum of both trains one.
        ("bce+jaccard", [0.5, 0.5]),
    ],
)
def test_output_trained_against_the_rest_has_a_probability_of_its_own(make_config, loss, expected):
    image_HW3 = np.zeros((1, 1, 3), np.uint8)
    found_CHW = predict_probabilities(Certain(-3.0, -3.0), image_HW3, make_config(loss=loss), MACHINE)
    assert found_CHW.flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_network_that_is_unsure_of_all_outvotes_no_other(make_config):
    # Sigmoids: of -2 and -3 are 0.1192 and 0.0474, of -6 and -4 are 0.0025 and 0.0180: means 0.0608 and 0.0327.
    # Softmaxes would be 0.731 and 0.269, 0.119 and 0.881, and the second output the greater.
    members = (Certain(-2.0, -3.0), Certain(-6.0, -4.0))
    found_CHW = average_probabilities(members, np.zeros((1, 1, 3), np.uint8), make_config(loss="bce"), MACHINE)
    assert found_CHW.flatten().tolist() == pytest.approx([0.0608, 0.0327], abs=1e-4)
