import math

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from segcore.config import LOSS_NAMES
from segcore.data.classes import VOID
from segcore.training.losses import (
    binary_cross_entropy,
    build_loss,
    dice_loss,
    focal_loss,
    jaccard_loss,
    lovasz_loss,
    softmax_cross_entropy,
)

EVERY_LOSS = (*LOSS_NAMES, "ce+0.5*jaccard+2*focal")


def _pixels(*logits, target):
    """Logits of C classes for each pixel of one row, and the pixels' targets."""
    logits_NCHW = torch.tensor(logits, dtype=torch.float32).T.reshape(1, len(logits[0]), 1, len(logits))
    return logits_NCHW, torch.tensor([[target]], dtype=torch.int64)


def _softmax(logits):
    exponentials = [math.exp(logit - max(logits)) for logit in logits]
    return [value / sum(exponentials) for value in exponentials]


def _slow_cross_entropy(pixels):
    return [-math.log(_softmax(logits)[target]) for logits, target in pixels]


def _slow_binary(pixels):
    values = []
    for logits, target in pixels:
        for index, logit in enumerate(logits):
            probability = 1 / (1 + math.exp(-logit))
            values.append(-math.log(probability if index == target else 1 - probability))
    return values


def _slow_focal(pixels, gamma):
    return [(1 - _softmax(logits)[target]) ** gamma * -math.log(_softmax(logits)[target]) for logits, target in pixels]


def _slow_jaccard(pixels, classes):
    losses = []
    for index in range(classes):
        inside = sum(_softmax(logits)[index] for logits, target in pixels if target == index)
        predicted = sum(_softmax(logits)[index] for logits, _ in pixels)
        truth = sum(target == index for _, target in pixels)
        if truth:
            losses.append(1 - (inside + 1) / (predicted + truth - inside + 1))
    return losses


def _slow_dice(pixels, classes):
    losses = []
    for index in range(classes):
        inside = sum(_softmax(logits)[index] for logits, target in pixels if target == index)
        predicted = sum(_softmax(logits)[index] for logits, _ in pixels)
        truth = sum(target == index for _, target in pixels)
        if truth:
            losses.append(1 - (2 * inside + 1) / (predicted + truth + 1))
    return losses


def _slow_lovasz(pixels, classes):
    """Pixels join the set of mistakes in the order of their errors; each costs error times growth of 1 - IoU."""
    losses = []
    for index in range(classes):
        truth = {place for place, (_, target) in enumerate(pixels) if target == index}
        errors = [abs((target == index) - _softmax(logits)[index]) for logits, target in pixels]
        mistakes, before, loss = set(), 0.0, 0.0
        for place in sorted(range(len(pixels)), key=lambda place: -errors[place]):
            mistakes.add(place)
            now = len(mistakes) / len(truth | mistakes)
            loss, before = loss + errors[place] * (now - before), now
        if truth:
            losses.append(loss)
    return losses


def _mean(values):
    return sum(values) / len(values) if values else 0.0


@st.composite
def batches(draw):
    """Logits (2, 3, 3, 4) and targets with some void."""
    logits_NCHW = draw(hnp.arrays(np.float32, (2, 3, 3, 4), elements=st.floats(-5, 5, width=32)))
    target_NHW = draw(hnp.arrays(np.int64, (2, 3, 4), elements=st.sampled_from([0, 1, 2, VOID])))
    pixels = [
        ([float(logit) for logit in logits_NCHW[n, :, y, x]], int(target_NHW[n, y, x]))
        for n, y, x in np.ndindex(target_NHW.shape)
        if target_NHW[n, y, x] != VOID
    ]
    return torch.from_numpy(logits_NCHW), torch.from_numpy(target_NHW), pixels


@given(batches(), st.floats(0, 5))
def test_losses_equal_plain_slow_formulas(batch, gamma):
    logits, target, pixels = batch
    for fast, slow in (
        (softmax_cross_entropy(logits, target), _mean(_slow_cross_entropy(pixels))),
        (binary_cross_entropy(logits, target), _mean(_slow_binary(pixels))),
        (jaccard_loss(logits, target), _mean(_slow_jaccard(pixels, 3))),
        (dice_loss(logits, target), _mean(_slow_dice(pixels, 3))),
        (lovasz_loss(logits, target), _mean(_slow_lovasz(pixels, 3))),
        (focal_loss(logits, target, gamma), _mean(_slow_focal(pixels, gamma))),
    ):
        assert fast.item() == pytest.approx(slow, rel=1e-4, abs=1e-5)


def test_cross_entropy_by_hand():
    # Logits ln 3 and 0: softmax 3/4 and 1/4. True classes 0 and 1: (-ln 0.75 - ln 0.25) / 2 = (0.2877 + 1.3863) / 2.
    batch = _pixels([math.log(3), 0], [math.log(3), 0], target=[0, 1])
    assert softmax_cross_entropy(*batch).item() == pytest.approx(0.83698, abs=1e-5)


def test_binary_cross_entropy_by_hand():
    # Sigmoid of ln 3 is 3/4, of 0 is 1/2. True class 0: (-ln 0.75 - ln 0.5) / 2 = (0.2877 + 0.6931) / 2.
    assert binary_cross_entropy(*_pixels([math.log(3), 0], target=[0])).item() == pytest.approx(0.49041, abs=1e-5)


def test_names_say_which_cross_entropy(make_config):
    # The values of the two tests above at one pixel: -ln 0.75, and (-ln 0.75 - ln 0.5) / 2.
    batch = _pixels([math.log(3), 0], target=[0])
    for name, by_hand in (("ce", 0.28768), ("bce", 0.49041)):
        assert build_loss(make_config(loss=name))(*batch).item() == pytest.approx(by_hand, abs=1e-5)


def test_jaccard_by_hand():
    # Softmax 1/2 everywhere, truth 0 and 1. Each class: inside 0.5, predicted 1, truth 1, union 1.5;
    # with one pixel of smoothing 1 - 1.5 / 2.5 = 0.4.
    assert jaccard_loss(*_pixels([0, 0], [0, 0], target=[0, 1])).item() == pytest.approx(0.4)


def test_jaccard_leaves_classes_absent_from_the_truth_out():
    # Truth 0 and 0: inside 1, predicted 1, truth 2, union 2; 1 - 2 / 3. Class 1 has no truth and costs nothing.
    assert jaccard_loss(*_pixels([0, 0], [0, 0], target=[0, 0])).item() == pytest.approx(1 / 3)


def test_dice_by_hand():
    # Softmax 1/2 everywhere, truth 0 and 1. Each class: inside 0.5, predicted 1, truth 1:
    # with one pixel of smoothing 1 - (2 * 0.5 + 1) / (1 + 1 + 1) = 1/3.
    assert dice_loss(*_pixels([0, 0], [0, 0], target=[0, 1])).item() == pytest.approx(1 / 3)


def test_lovasz_by_hand():
    # Softmax 3/4 and 1/4 at both pixels, truth 0 and 1. Class 0: errors 0.75 (no truth) and 0.25 (truth); 1 - IoU
    # grows 0 -> 1/2 -> 1: 0.5 * 0.75 + 0.5 * 0.25 = 0.5. Class 1: errors 0.75 (truth) and 0.25; 0 -> 1 -> 1: 0.75.
    batch = _pixels([math.log(3), 0], [math.log(3), 0], target=[0, 1])
    assert lovasz_loss(*batch).item() == pytest.approx((0.5 + 0.75) / 2)


def test_focal_by_hand():
    # p = 3/4, gamma 2: (1/4)^2 * 0.28768 = 0.01798.
    assert focal_loss(*_pixels([math.log(3), 0], target=[0]), 2.0).item() == pytest.approx(0.01798, abs=1e-5)


@given(batches())
def test_focal_with_gamma_0_is_cross_entropy(batch):
    logits, target, _ = batch
    assert focal_loss(logits, target, 0.0).item() == pytest.approx(
        softmax_cross_entropy(logits, target).item(), rel=1e-6
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_gradient_is_finite_where_the_network_is_certain(gamma):
    logits, target = _pixels([100.0, 0.0], [-100.0, 0.0], target=[0, 0])
    logits.requires_grad_(True)
    focal_loss(logits, target, gamma).backward()
    assert logits.grad.isfinite().all()


def test_weighted_sum_adds_the_terms(make_config):
    # The pixels of the tests above, softmax 3/4 and 1/4 for truth 0: 2 * 0.28768 + 0.5 * jaccard;
    # jaccard: inside 0.75, predicted 0.75, truth 1, union 1: 1 - 1.75 / 2 = 0.125.
    batch = _pixels([math.log(3), 0], target=[0])
    assert build_loss(make_config(loss="2*ce+0.5*jaccard"))(*batch).item() == pytest.approx(
        2 * 0.287682 + 0.5 * 0.125, abs=1e-5
    )


def test_focal_gamma_comes_from_the_configuration(make_config):
    batch = _pixels([math.log(3), 0], target=[0])
    # (1/4)^1 * 0.287682 and (1/4)^3 * 0.287682
    for gamma, value in ((1.0, 0.0719205), (3.0, 0.0044950)):
        assert build_loss(make_config(loss="focal", focal_gamma=gamma))(*batch).item() == pytest.approx(value, abs=1e-6)


def _value_and_gradient(config, logits, target):
    logits = logits.clone().requires_grad_(True)
    value = build_loss(config)(logits, target)
    value.backward()
    return value.detach(), logits.grad


@pytest.mark.parametrize("expression", EVERY_LOSS)
def test_void_pixels_change_neither_value_nor_gradient(make_config, expression):
    config = make_config(loss=expression)
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=random)
    target = torch.randint(0, 3, (2, 4, 5), generator=random)
    void_NHW = torch.rand(2, 4, 5, generator=random) < 0.4
    target[void_NHW] = VOID
    changed = torch.where(void_NHW.unsqueeze(1), 7 - 3 * logits, logits)
    value, gradient = _value_and_gradient(config, logits, target)
    other_value, other_gradient = _value_and_gradient(config, changed, target)
    assert value == other_value
    torch.testing.assert_close(gradient, other_gradient)
    assert (gradient.movedim(1, -1)[void_NHW] == 0).all()
    assert (gradient.movedim(1, -1)[~void_NHW] != 0).any()


@pytest.mark.parametrize("expression", EVERY_LOSS)
def test_batch_of_void_costs_nothing_and_pulls_nowhere(make_config, expression):
    value, gradient = _value_and_gradient(
        make_config(loss=expression), torch.randn(2, 3, 4, 5), torch.full((2, 4, 5), VOID)
    )
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("expression", EVERY_LOSS)
def test_batch_of_a_single_class_is_finite_and_rewards_that_class(make_config, expression):
    value, gradient = _value_and_gradient(
        make_config(loss=expression), torch.zeros(1, 3, 4, 4), torch.full((1, 4, 4), 1)
    )
    assert math.isfinite(value) and value > 0
    assert gradient.isfinite().all()
    assert (gradient[:, 1] < 0).all()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("expression", EVERY_LOSS)
def test_half_precision_logits_give_the_fp32_value(make_config, expression, kind):
    loss = build_loss(make_config(loss=expression))
    random = torch.Generator().manual_seed(0)
    # fp16 sums end at 65504; 128 x 128 pixels at a loss of about 8 exceed that.
    logits = (10 * torch.randn(1, 3, 128, 128, generator=random)).to(kind)
    target = torch.randint(0, 3, (1, 128, 128), generator=random)
    value = loss(logits, target)
    assert value.dtype == torch.float32
    assert math.isfinite(value)
    assert value == loss(logits.float(), target)


def test_targets_may_be_the_loaders_bytes(make_config):
    logits, target = _pixels([math.log(3), 0], [5, 5], target=[0, VOID])
    value = build_loss(make_config(loss="ce"))(logits, target.to(torch.uint8))
    assert value.item() == pytest.approx(0.28768, abs=1e-5)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12))
def test_lovasz_of_certain_predictions_is_the_jaccard_loss(pixels):
    # At the corners of the simplex the surrogate equals 1 - IoU, mean over the classes in the truth.
    truth = [true for true, _ in pixels]
    logits_NCHW, target_NHW = _pixels(
        *[[60.0 if index == predicted else 0.0 for index in range(3)] for _, predicted in pixels], target=truth
    )
    losses = []
    for index in set(truth):
        hit = sum(true == predicted == index for true, predicted in pixels)
        union = sum(index in pair for pair in pixels)
        losses.append(1 - hit / union)
    assert lovasz_loss(logits_NCHW, target_NHW).item() == pytest.approx(sum(losses) / len(losses), abs=1e-5)


WEIGHTS = torch.tensor([1.0, 3.0])


def test_weighted_cross_entropy_by_hand():
    # Softmax 3/4 and 1/4; true class 0 weighs 1, class 1 weighs 3: (0.287682 + 3 * 1.386294) / (1 + 3).
    batch = _pixels([math.log(3), 0], [math.log(3), 0], target=[0, 1])
    assert softmax_cross_entropy(*batch, WEIGHTS).item() == pytest.approx(1.111641, abs=1e-5)


def test_weighted_binary_cross_entropy_by_hand():
    # Sigmoids 3/4 and 1/2. True class 0: -ln 0.75 - ln 0.5 = 0.980829; true class 1: -ln 0.25 - ln 0.5 = 2.079442.
    # Two classes: (0.980829 + 3 * 2.079442) / (2 * (1 + 3)).
    batch = _pixels([math.log(3), 0], [math.log(3), 0], target=[0, 1])
    assert binary_cross_entropy(*batch, WEIGHTS).item() == pytest.approx(0.902394, abs=1e-5)


def test_weighted_focal_by_hand():
    # Gamma 2: (1/4)^2 * 0.287682 = 0.0179801 and (3/4)^2 * 1.386294 = 0.7797906; (0.0179801 + 3 * 0.7797906) / 4.
    batch = _pixels([math.log(3), 0], [math.log(3), 0], target=[0, 1])
    assert focal_loss(*batch, 2.0, WEIGHTS).item() == pytest.approx(0.589338, abs=1e-5)


@given(batches(), st.floats(0.1, 10))
def test_equal_weights_change_nothing(batch, weight):
    logits, target, _ = batch
    weights_C = torch.full((3,), weight)
    for loss in (softmax_cross_entropy, binary_cross_entropy, lambda *given: focal_loss(*given[:2], 2.0, *given[2:])):
        assert loss(logits, target, weights_C).item() == pytest.approx(loss(logits, target).item(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("expression", "weighted"),
    [("ce", True), ("bce", True), ("focal", True), ("jaccard", False), ("dice", False), ("lovasz", False)],
)
def test_weights_reach_the_losses_that_are_means_over_pixels(make_config, expression, weighted):
    batch = _pixels([math.log(3), 0], [math.log(3), 0], target=[0, 1])
    config = make_config(loss=expression)
    plain, heavy = build_loss(config)(*batch).item(), build_loss(config, WEIGHTS)(*batch).item()
    assert (heavy != plain) == weighted


@pytest.mark.parametrize("expression", EVERY_LOSS)
@pytest.mark.parametrize("value", [VOID, 2])
def test_batch_of_void_or_of_no_weight_costs_nothing(make_config, expression, value):
    logits = torch.randn(2, 3, 4, 5).requires_grad_(True)
    loss = build_loss(make_config(loss=expression), torch.tensor([1.0, 2.0, 0.0]))
    result = loss(logits, torch.full((2, 4, 5), value))
    result.backward()
    assert result.isfinite() and logits.grad.isfinite().all()
    if value == VOID or expression in ("ce", "bce", "focal"):
        assert result == 0 and (logits.grad == 0).all()
