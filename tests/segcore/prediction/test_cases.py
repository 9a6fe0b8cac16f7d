"""Cases of a cache predicted and scored: in order, alike together and alone, and the next read while one is seen."""

import threading

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.classes import VOID
from segcore.data.dataset import read_dataset
from segcore.machine import Machine
from segcore.prediction.cases import group_sizes, predict_cases, score_cases, sort_by_size
from segcore.prediction.options import PredictOptions
from segcore.prediction.predict import find_greatest, predict_probabilities
from segcore.scoring.metrics import summarise_scores
from tests.segcore.prediction.conftest import NearestColour

MACHINE = Machine()
SECONDS = 600


def test_network_of_scored_classes_predicts_background_elsewhere(make_config, cache, classes):
    road, car, person, sky = classes.colours
    scored = NearestColour([[car], [person], [road, sky]])
    (prediction_HW,) = predict_cases(scored, cache, [0], make_config(labels="scored"), MACHINE)
    truth_HW = cache.mask_HW(0)
    for index, predicted in ((0, VOID), (1, 1), (2, 2), (3, VOID)):
        values, counts = np.unique(prediction_HW.numpy()[truth_HW == index], return_counts=True)
        assert values[counts.argmax()] == predicted
    assert set(np.unique(prediction_HW)) == {1, 2, VOID}


def test_cases_are_predicted_one_by_one_in_the_order_asked_and_in_evaluation_mode(knowing, make_config, cache):
    knowing.train()
    predictions = list(predict_cases(knowing, cache, [5, 2], make_config(), MACHINE))
    assert knowing.sizes == [(1, 64, 96)] * 2
    assert not knowing.training
    for index, prediction_HW in zip([5, 2], predictions, strict=True):
        valid_HW = cache.mask_HW(index) != VOID
        assert (prediction_HW.numpy() == cache.mask_HW(index))[valid_HW].mean() > 0.97


def _truths(cache, indices):
    return [torch.from_numpy(np.array(cache.mask_HW(index))) for index in indices]


def test_true_prediction_scores_one_at_original_size(cache, classes):
    scores = score_cases(iter(_truths(cache, [3, 4])), cache, [3, 4])
    assert [(score.name, score.condition, score.iou) for score in scores] == [
        ("train_0003", "night", 1.0),
        ("train_0004", "day", 1.0),
    ]
    # Every pixel of 64 x 96 but the void corner of 4 x 4 is counted.
    assert [score.confusion_CP.sum() for score in scores] == [64 * 96 - 16] * 2
    metrics = summarise_scores(scores, classes, every_class=True)
    assert {metrics[name] for name in ("iou", "miou", "iou/car", "iou_at/night")} == {1.0}


def test_score_by_hand(cache):
    # Everything predicted as car: car's IoU is its share of the valid pixels; person's is 0.
    cars = int((cache.mask_HW(0) == 1).sum())
    (score,) = score_cases(iter([torch.full((64, 96), 1, dtype=torch.uint8)]), cache, [0])
    assert score.iou == pytest.approx((cars / (64 * 96 - 16) + 0) / 2)


def test_input_modes_that_predict_equal_maps_score_equal(make_config, cache, classes):
    """One ruler: what the network saw has no part in the score."""
    # Constant networks give equal maps whatever they see: here all is car.
    always_car = NearestColour([[(999.0, 999.0, 999.0)], [tuple(colour) for colour in classes.colours], [(999.0,) * 3]])
    indices = [0, 3, 7]
    of_mode = {}
    for mode in ("full", "crop", "resize"):
        config = make_config(input_mode=mode, crop_size=32, scale=0.3)
        scores = score_cases(predict_cases(always_car, cache, indices, config, MACHINE), cache, indices)
        of_mode[mode] = summarise_scores(scores, classes, every_class=True)
    assert of_mode["full"] == of_mode["crop"] == of_mode["resize"]
    assert 0 < of_mode["full"]["iou/car"] < 1
    assert always_car.sizes == [(1, 64, 96)] * 6 + [(1, 19, 29)] * 3  # 64 x 0.3 = 19.2, 96 x 0.3 = 28.8


@pytest.mark.parametrize("predictions", [1, 3])
def test_predictions_and_cases_must_pair_up(cache, predictions):
    with pytest.raises(ValueError, match="zip"):
        score_cases(iter(_truths(cache, [3] * predictions)), cache, [3, 4])


@pytest.mark.parametrize(
    "values",
    [{"input_mode": "full"}, {"input_mode": "crop", "crop_size": 32}, {"input_mode": "resize", "scale": 0.4}],
)
def test_trials_are_scored_to_the_bit_as_before_there_were_options(model, make_config, cache, values):
    """Scores of a search that goes on, and of one begun before, must be comparable."""
    config = make_config(**values)
    expected_HW = []
    for index in (0, 3):
        pixels_HW3 = cache.image_HW3(index)
        if config.input_mode == "resize":
            pixels_HW3 = cv2.resize(pixels_HW3, (38, 26), interpolation=cv2.INTER_AREA)
        with torch.inference_mode():
            probabilities_1CHW = model(torch.from_numpy(np.array(pixels_HW3))[None]).float().softmax(dim=1)
        if config.input_mode == "resize":
            probabilities_1CHW = F.interpolate(probabilities_1CHW, size=(64, 96), mode="bilinear", align_corners=False)
        found_CHW = predict_probabilities(model, cache.image_HW3(index), config, MACHINE)
        assert torch.equal(found_CHW, probabilities_1CHW[0])
        expected_HW.append(probabilities_1CHW[0].argmax(dim=0))
    for found_HW, truth_HW in zip(predict_cases(model, cache, [0, 3], config, MACHINE), expected_HW, strict=True):
        assert torch.equal(found_HW.long(), truth_HW)


@pytest.fixture
def mixed(make_dataset, tmp_path):
    sizes = [(64, 96), (64, 96), (32, 64), (64, 96), (32, 64)]
    return PixelCache(prepare_cache(read_dataset(make_dataset(*sizes)), tmp_path / "mixed"))


def test_neighbours_of_one_size_are_seen_together_while_their_pixels_fit(mixed):
    # Of 64 x 96 pixels two fit, of 32 x 64 six.
    pixels = 2 * 64 * 96
    assert sort_by_size(mixed, range(5)) == [2, 4, 0, 1, 3]
    assert group_sizes(mixed, [2, 4, 0, 1, 3], 1.0, pixels) == ((2, 4), (0, 1), (3,))
    assert group_sizes(mixed, range(5), 1.0, pixels) == ((0, 1), (2,), (3,), (4,))
    # Half the side, a quarter of the pixels.
    assert group_sizes(mixed, [0, 1, 3], 0.5, pixels) == ((0, 1, 3),)
    assert group_sizes(mixed, [0, 1, 3], 1.0, 0) == group_sizes(mixed, [0, 1, 3], 1.0, 1) == ((0,), (1,), (3,))
    assert [len(group) for group in group_sizes(mixed, [0] * 20, 1.0, 1 << 30)] == [16, 4]


def test_images_of_one_height_alone_are_not_seen_together(make_dataset, tmp_path):
    cache = PixelCache(prepare_cache(read_dataset(make_dataset((32, 64), (32, 48))), tmp_path / "cache"))
    assert group_sizes(cache, [0, 1], 1.0, 1 << 20) == ((0,), (1,))


@pytest.mark.parametrize("values", [{"flip": True}, {"scales": (0.5, 1.0)}])
def test_images_that_are_looked_at_several_times_are_predicted_by_all_looks(model, make_config, cache, values):
    config, options = make_config(), PredictOptions(**values)
    (found_HW,) = predict_cases(model, cache, [0], config, MACHINE, options, 1 << 20)
    assert torch.equal(
        found_HW.long(), find_greatest(predict_probabilities(model, cache.image_HW3(0), config, MACHINE, options))
    )
    (once_HW,) = predict_cases(model, cache, [0], config, MACHINE)
    assert not torch.equal(found_HW, once_HW)


@pytest.mark.parametrize("values", [{"input_mode": "full"}, {"input_mode": "resize", "scale": 0.5}])
def test_images_together_score_as_one_after_the_other(model, make_config, mixed, values):
    config, indices = make_config(**values), [0, 3, 1, 2]

    def score(pixels):
        predictions = predict_cases(model, mixed, indices, config, MACHINE, pixels_at_a_time=pixels)
        return [score.confusion_CP.tolist() for score in score_cases(predictions, mixed, indices)]

    assert score(3 * 64 * 96) == score(0)


class _WatchedCache:
    """A cache that says which images were read."""

    def __init__(self, cache):
        self._cache = cache
        self.read = {index: threading.Event() for index in range(len(cache))}

    def __getattr__(self, name):
        return getattr(self._cache, name)

    def image_HW3(self, index):
        self.read[index].set()
        return self._cache.image_HW3(index)


class _SlowDevice(NearestColour):
    """A network that is not done with an image before the next one was read."""

    def __init__(self, colours, to_be_read):
        super().__init__(colours)
        self.to_be_read = iter(to_be_read)

    def forward(self, images_NHW3):
        awaited = next(self.to_be_read, None)
        assert awaited is None or awaited.wait(SECONDS), "the next image is read only when the network is done"
        return super().forward(images_NHW3)


def test_next_image_is_read_while_the_network_sees_the_last_one(classes, make_config, cache):
    watched = _WatchedCache(cache)
    device = _SlowDevice([[colour] for colour in classes.colours], [watched.read[1], watched.read[2]])
    assert len(list(predict_cases(device, watched, [0, 1, 2], make_config(), MACHINE))) == 3


def test_borders_are_counted_as_without_threads(cache):
    truths = iter([torch.from_numpy(np.array(cache.mask_HW(index))) for index in range(4)])
    for score in score_cases(truths, cache, range(4), boundaries=True):
        assert (score.boundary_C2[:, 0] == score.boundary_C2[:, 1]).all()
        assert score.boundary_C2.sum() > 0
