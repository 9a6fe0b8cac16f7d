import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from segcore.data.classes import VOID
from segcore.training.pixel_losses import (
    HardPixels,
    binary_cross_entropy,
    focal_loss,
    softmax_cross_entropy,
)
from tests.segcore.training.pixels import batches, gradient_of, make_pixels, mean, softmax

WEIGHTS = torch.tensor([1.0, 3.0])


def _slow_cross_entropy(pixels):
    return [-math.log(softmax(logits)[target]) for logits, target in pixels]


def _slow_binary(pixels):
    values = []
    for logits, target in pixels:
        for index, logit in enumerate(logits):
            probability = 1 / (1 + math.exp(-logit))
            values.append(-math.log(probability if index == target else 1 - probability))
    return values


def _slow_focal(pixels, gamma):
    return [(1 - softmax(logits)[target]) ** gamma * -math.log(softmax(logits)[target]) for logits, target in pixels]


@given(batches(), st.floats(0, 5))
def test_losses_equal_plain_slow_formulas(batch, gamma):
    logits, target, pixels = batch
    for fast, slow in (
        (softmax_cross_entropy(logits, target), mean(_slow_cross_entropy(pixels))),
        (binary_cross_entropy(logits, target), mean(_slow_binary(pixels))),
        (focal_loss(logits, target, gamma), mean(_slow_focal(pixels, gamma))),
    ):
        assert fast.item() == pytest.approx(slow, rel=1e-4, abs=1e-5)


def _spread(target, smoothing):
    """The truth of valid pixels (P, C), part of it spread over all classes."""
    return F.one_hot(target[target != VOID], 3) * (1 - smoothing) + smoothing / 3


@given(batches(), st.sampled_from([0.0, 0.1, 0.5]))
def test_smoothed_losses_and_their_gradients_are_those_of_a_truth_that_is_spread(batch, smoothing):
    logits, target, pixels = batch
    if not pixels:
        return

    def spread_softmax(logits, target):
        return F.cross_entropy(logits.movedim(1, -1)[target != VOID], _spread(target, smoothing))

    def spread_binary(logits, target):
        return F.binary_cross_entropy_with_logits(logits.movedim(1, -1)[target != VOID], _spread(target, smoothing))

    for ours, theirs in ((softmax_cross_entropy, spread_softmax), (binary_cross_entropy, spread_binary)):

        def smoothed(logits, target, ours=ours):
            return ours(logits, target, smoothing=smoothing)

        assert smoothed(logits, target).item() == pytest.approx(theirs(logits, target).item(), rel=1e-4, abs=1e-5)
        torch.testing.assert_close(gradient_of(smoothed, logits, target), gradient_of(theirs, logits, target))


def test_cross_entropy_by_hand():
    # Logits ln 3 and 0: softmax 3/4 and 1/4. True classes 0 and 1: (-ln 0.75 - ln 0.25) / 2 = (0.2877 + 1.3863) / 2.
    batch = make_pixels([math.log(3), 0], [math.log(3), 0], target=[0, 1])
    assert softmax_cross_entropy(*batch).item() == pytest.approx(0.83698, abs=1e-5)


def test_binary_cross_entropy_by_hand():
    # Sigmoid of ln 3 is 3/4, of 0 is 1/2. True class 0: (-ln 0.75 - ln 0.5) / 2 = (0.2877 + 0.6931) / 2.
    assert binary_cross_entropy(*make_pixels([math.log(3), 0], target=[0])).item() == pytest.approx(0.49041, abs=1e-5)


def test_focal_by_hand():
    # p = 3/4, gamma 2: (1/4)^2 * 0.28768 = 0.01798.
    assert focal_loss(*make_pixels([math.log(3), 0], target=[0]), 2.0).item() == pytest.approx(0.01798, abs=1e-5)


@given(batches())
def test_focal_with_gamma_0_is_cross_entropy(batch):
    logits, target, _ = batch
    assert focal_loss(logits, target, 0.0).item() == pytest.approx(
        softmax_cross_entropy(logits, target).item(), rel=1e-6
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_gradient_is_finite_where_the_network_is_certain(gamma):
    logits, target = make_pixels([100.0, 0.0], [-100.0, 0.0], target=[0, 0])
    logits.requires_grad_(True)
    focal_loss(logits, target, gamma).backward()
    assert logits.grad.isfinite().all()


def test_weighted_cross_entropy_by_hand():
    # Softmax 3/4 and 1/4; true class 0 weighs 1, class 1 weighs 3: (0.287682 + 3 * 1.386294) / (1 + 3).
    batch = make_pixels([math.log(3), 0], [math.log(3), 0], target=[0, 1])
    assert softmax_cross_entropy(*batch, WEIGHTS).item() == pytest.approx(1.111641, abs=1e-5)


def test_weighted_binary_cross_entropy_by_hand():
    # Sigmoids 3/4 and 1/2. True class 0: -ln 0.75 - ln 0.5 = 0.980829; true class 1: -ln 0.25 - ln 0.5 = 2.079442.
    # Two classes: (0.980829 + 3 * 2.079442) / (2 * (1 + 3)).
    batch = make_pixels([math.log(3), 0], [math.log(3), 0], target=[0, 1])
    assert binary_cross_entropy(*batch, WEIGHTS).item() == pytest.approx(0.902394, abs=1e-5)


def test_weighted_focal_by_hand():
    # Gamma 2: (1/4)^2 * 0.287682 = 0.0179801 and (3/4)^2 * 1.386294 = 0.7797906; (0.0179801 + 3 * 0.7797906) / 4.
    batch = make_pixels([math.log(3), 0], [math.log(3), 0], target=[0, 1])
    assert focal_loss(*batch, 2.0, WEIGHTS).item() == pytest.approx(0.589338, abs=1e-5)


@given(batches(), st.floats(0.1, 10))
def test_equal_weights_change_nothing(batch, weight):
    logits, target, _ = batch
    weights_C = torch.full((3,), weight)
    for loss in (softmax_cross_entropy, binary_cross_entropy, lambda *given: focal_loss(*given[:2], 2.0, *given[2:])):
        assert loss(logits, target, weights_C).item() == pytest.approx(loss(logits, target).item(), rel=1e-4, abs=1e-6)


def test_smoothing_by_hand():
    # A fifth of the truth is spread over two classes: 0.9 and 0.1. Softmax 3/4 and 1/4:
    # 0.9 * 0.287682 + 0.1 * 1.386294.
    batch = make_pixels([math.log(3), 0], [9, 9], target=[0, VOID])
    assert softmax_cross_entropy(*batch, smoothing=0.2).item() == pytest.approx(0.397543, abs=1e-5)
    # Sigmoids 3/4 and 1/2: the same of the first class, ln 2 of the second, whatever is true:
    # (0.397543 + 0.693147) / 2.
    assert binary_cross_entropy(*batch, smoothing=0.2).item() == pytest.approx(0.545345, abs=1e-5)


def _sure(*probabilities):
    """Pixels of class 0 to which the softmax gives these probabilities."""
    return make_pixels(*[[math.log(p / (1 - p)), 0] for p in probabilities], target=[0] * len(probabilities))


@pytest.mark.parametrize(
    ("share", "probability", "kept"),
    [
        # Two of four, the hardest.
        (0.5, 0.0, [0.2, 0.6]),
        (0.5, 0.5, [0.2, 0.6]),
        # A third is less probable than 0.85.
        (0.5, 0.85, [0.2, 0.6, 0.8]),
        # One at least.
        (0.01, 0.0, [0.2]),
        (0.01, 0.7, [0.2, 0.6]),
    ],
)
def test_hard_pixels_make_the_loss_by_hand(share, probability, kept):
    value = softmax_cross_entropy(*_sure(0.9, 0.6, 0.8, 0.2), hard=HardPixels(share=share, probability=probability))
    assert value.item() == pytest.approx(mean([-math.log(p) for p in kept]), abs=1e-5)


def test_easy_pixels_pull_nowhere():
    gradient = gradient_of(
        lambda *batch: softmax_cross_entropy(*batch, hard=HardPixels(share=0.5, probability=0.0)),
        *_sure(0.9, 0.6, 0.8, 0.2),
    )
    # Mean of two: half of p - 1 of the true class, for 0.6 and 0.2.
    assert gradient[0, 0, 0].tolist() == pytest.approx([0, -0.2, 0, -0.4], abs=1e-6)


def test_hard_pixels_of_an_image_weigh_what_all_its_pixels_weigh():
    logits = torch.cat([_sure(0.9, 0.6, 0.8, 0.2)[0], _sure(0.9, 0.6, 0.8, 0.2)[0]])
    target = torch.tensor([[[0, 0, 0, 0]], [[0, VOID, VOID, VOID]]])
    hard = HardPixels(share=0.5, probability=0.0)
    # The first image: (-ln 0.6 - ln 0.2) / 2 = 1.060132, four pixels; the second: -ln 0.9 = 0.105361, one pixel.
    by_hand = (4 * 1.060132 + 0.105361) / 5
    assert softmax_cross_entropy(logits, target, hard=hard).item() == pytest.approx(by_hand, abs=1e-5)


def test_void_pixels_are_none_of_those_of_which_a_share_is_kept():
    logits, _ = _sure(0.9, 0.6, 0.8, 0.2)
    hard = HardPixels(share=0.5, probability=0.0)
    # Half of two pixels is one.
    value = softmax_cross_entropy(logits, torch.tensor([[[0, 0, VOID, VOID]]]), hard=hard)
    assert value.item() == pytest.approx(-math.log(0.6), abs=1e-5)


def test_hard_pixels_are_weighted_by_class():
    logits, target = make_pixels([math.log(3), 0], [math.log(3), 0], [math.log(3), 0], target=[0, 0, 1])
    hard = HardPixels(share=0.6, probability=0.0)
    # Two of three are kept, and of equal ones all: -ln 0.75 twice, weight 1, and -ln 0.25, weight 3.
    assert softmax_cross_entropy(logits, target, WEIGHTS, hard=hard).item() == pytest.approx(
        (2 * 0.287682 + 3 * 1.386294) / 5, abs=1e-5
    )
    # A class without weight is as if void, however hard it is: what is left of class 0 is the image.
    none = torch.tensor([1.0, 0.0])
    for share in (0.4, 0.6):
        hard = HardPixels(share=share, probability=0.0)
        assert softmax_cross_entropy(logits, target, none, hard=hard).item() == pytest.approx(0.287682, abs=1e-5)


def test_hard_pixels_of_each_loss_by_hand():
    batch = _sure(0.75, 0.25)
    hard = HardPixels(share=0.5, probability=0.0)
    # Focal, gamma 2: 0.75^2 * 1.386294. Binary: sigmoid of the first logit 1/4, of the second 1/2.
    assert focal_loss(*batch, 2.0, hard=hard).item() == pytest.approx(0.779791, abs=1e-5)
    assert binary_cross_entropy(*batch, hard=hard).item() == pytest.approx((1.386294 + 0.693147) / 2, abs=1e-5)


@given(batches())
def test_hard_pixels_that_are_all_change_nothing(batch):
    logits, target, _ = batch
    hard = HardPixels(share=1.0, probability=0.7)
    for loss in (softmax_cross_entropy, binary_cross_entropy):
        assert loss(logits, target, hard=hard).item() == pytest.approx(loss(logits, target).item(), rel=1e-5, abs=1e-6)


@given(batches(), st.floats(0.01, 0.99))
def test_hard_pixels_cost_at_least_the_mean_of_all(batch, share):
    logits, target, _ = batch
    hard = HardPixels(share=share, probability=0.0)
    assert softmax_cross_entropy(logits, target, hard=hard) >= softmax_cross_entropy(logits, target) - 1e-5
