import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from segcore.data.classes import VOID
from segcore.training.region_losses import boundary_loss, dice_loss, jaccard_loss, lovasz_loss
from tests.segcore.training.pixels import batches, gradient_of, make_pixels, mean, softmax


def _slow_jaccard(pixels, classes):
    losses = []
    for index in range(classes):
        inside = sum(softmax(logits)[index] for logits, target in pixels if target == index)
        predicted = sum(softmax(logits)[index] for logits, _ in pixels)
        truth = sum(target == index for _, target in pixels)
        if truth:
            losses.append(1 - (inside + 1) / (predicted + truth - inside + 1))
    return losses


def _slow_dice(pixels, classes):
    losses = []
    for index in range(classes):
        inside = sum(softmax(logits)[index] for logits, target in pixels if target == index)
        predicted = sum(softmax(logits)[index] for logits, _ in pixels)
        truth = sum(target == index for _, target in pixels)
        if truth:
            losses.append(1 - (2 * inside + 1) / (predicted + truth + 1))
    return losses


def _slow_lovasz(pixels, classes):
    """Pixels join the set of mistakes in the order of their errors; each costs error times growth of 1 - IoU."""
    losses = []
    for index in range(classes):
        truth = {place for place, (_, target) in enumerate(pixels) if target == index}
        errors = [abs((target == index) - softmax(logits)[index]) for logits, target in pixels]
        mistakes, before, loss = set(), 0.0, 0.0
        for place in sorted(range(len(pixels)), key=lambda place: -errors[place]):
            mistakes.add(place)
            now = len(mistakes) / len(truth | mistakes)
            loss, before = loss + errors[place] * (now - before), now
        if truth:
            losses.append(loss)
    return losses


@given(batches())
def test_losses_equal_plain_slow_formulas(batch):
    logits, target, pixels = batch
    for fast, slow in (
        (jaccard_loss(logits, target), mean(_slow_jaccard(pixels, 3))),
        (dice_loss(logits, target), mean(_slow_dice(pixels, 3))),
        (lovasz_loss(logits, target), mean(_slow_lovasz(pixels, 3))),
    ):
        assert fast.item() == pytest.approx(slow, rel=1e-4, abs=1e-5)


def test_jaccard_by_hand():
    # Softmax 1/2 everywhere, truth 0 and 1. Each class: inside 0.5, predicted 1, truth 1, union 1.5;
    # with one pixel of smoothing 1 - 1.5 / 2.5 = 0.4.
    assert jaccard_loss(*make_pixels([0, 0], [0, 0], target=[0, 1])).item() == pytest.approx(0.4)


def test_jaccard_leaves_classes_absent_from_the_truth_out():
    # Truth 0 and 0: inside 1, predicted 1, truth 2, union 2; 1 - 2 / 3. Class 1 has no truth and costs nothing.
    assert jaccard_loss(*make_pixels([0, 0], [0, 0], target=[0, 0])).item() == pytest.approx(1 / 3)


def test_dice_by_hand():
    # Softmax 1/2 everywhere, truth 0 and 1. Each class: inside 0.5, predicted 1, truth 1:
    # with one pixel of smoothing 1 - (2 * 0.5 + 1) / (1 + 1 + 1) = 1/3.
    assert dice_loss(*make_pixels([0, 0], [0, 0], target=[0, 1])).item() == pytest.approx(1 / 3)


def test_lovasz_by_hand():
    # Softmax 3/4 and 1/4 at both pixels, truth 0 and 1. Class 0: errors 0.75 (no truth) and 0.25 (truth); 1 - IoU
    # grows 0 -> 1/2 -> 1: 0.5 * 0.75 + 0.5 * 0.25 = 0.5. Class 1: errors 0.75 (truth) and 0.25; 0 -> 1 -> 1: 0.75.
    batch = make_pixels([math.log(3), 0], [math.log(3), 0], target=[0, 1])
    assert lovasz_loss(*batch).item() == pytest.approx((0.5 + 0.75) / 2)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12))
def test_lovasz_of_certain_predictions_is_the_jaccard_loss(pixels):
    # At the corners of the simplex the surrogate equals 1 - IoU, mean over the classes in the truth.
    truth = [true for true, _ in pixels]
    logits_NCHW, target_NHW = make_pixels(
        *[[60.0 if index == predicted else 0.0 for index in range(3)] for _, predicted in pixels], target=truth
    )
    losses = []
    for index in set(truth):
        hit = sum(true == predicted == index for true, predicted in pixels)
        union = sum(index in pair for pair in pixels)
        losses.append(1 - hit / union)
    assert lovasz_loss(logits_NCHW, target_NHW).item() == pytest.approx(sum(losses) / len(losses), abs=1e-5)


def _plain_lovasz(logits, target):
    """Class by class, differentiated through the sorted errors. (Berman et al., 2018.)"""
    valid = target != VOID
    probability_PC, target_P = logits.movedim(1, -1)[valid].softmax(dim=1), target[valid]
    losses = []
    for index in target_P.unique():
        truth_P = (target_P == index).float()
        errors_P, order_P = (truth_P - probability_PC[:, index]).abs().sort(descending=True)
        sorted_P = truth_P[order_P]
        union_P = sorted_P.sum() + (1 - sorted_P).cumsum(0)
        lost_P = 1 - (sorted_P.sum() - sorted_P.cumsum(0)) / union_P
        losses.append(errors_P @ torch.diff(lost_P, prepend=torch.zeros(1)))
    return torch.stack(losses).mean()


@given(st.integers(0, 2**31), st.integers(1, 5))
def test_lovasz_gradient_is_that_of_a_loop_over_classes(seed, classes):
    # Of random numbers no two errors are equal, whose order would be free.
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 5, 4, 6, generator=random)
    target = torch.randint(0, classes, (2, 4, 6), generator=random)
    target[torch.rand(target.shape, generator=random) < 0.3] = VOID
    target[0, 0, 0] = 0
    torch.testing.assert_close(lovasz_loss(logits, target), _plain_lovasz(logits, target))
    torch.testing.assert_close(gradient_of(lovasz_loss, logits, target), gradient_of(_plain_lovasz, logits, target))


CERTAIN = 60.0


def _predict(*classes):
    return [[CERTAIN if index == predicted else 0.0 for index in range(2)] for predicted in classes]


def _slow_widened(map_HW, reach):
    rows, columns = map_HW.shape
    spans = [[slice(max(0, at - reach), at + reach + 1) for at in range(side)] for side in (rows, columns)]
    return np.array([[map_HW[down, across].max() for across in spans[1]] for down in spans[0]])


def _slow_boundary(logits_NCHW, target_NHW):
    valid_NHW = (target_NHW != VOID).numpy()
    losses = []
    for index in range(logits_NCHW.shape[1]):
        members_NHW = logits_NCHW.double().softmax(1)[:, index].numpy(), (target_NHW == index).double().numpy()
        predicted_NHW, true_NHW = (
            np.stack([
                (_slow_widened(other_HW, 1) - other_HW) * valid_HW
                for other_HW, valid_HW in zip((1 - member_NHW) * valid_NHW, valid_NHW, strict=True)
            ])
            for member_NHW in members_NHW
        )  # fmt: skip
        precision, recall = (
            (sum((one_HW * _slow_widened(other_HW, 2)).sum() for one_HW, other_HW in zip(*pair, strict=True)) + 1)
            / (pair[0].sum() + 1)
            for pair in ((predicted_NHW, true_NHW), (true_NHW, predicted_NHW))
        )
        losses += [1 - 2 * precision * recall / (precision + recall)] if members_NHW[1].any() else []
    return losses


@given(batches())
def test_boundary_equals_its_plain_slow_formula(batch):
    logits, target, _ = batch
    expected = mean(_slow_boundary(logits, target))
    assert boundary_loss(logits, target).item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("predicted", "by_hand"),
    [
        # Each class's boundary is one pixel. Up to two pixels beside the true one it meets it.
        ([0, 0, 0, 0, 0, 0, 1, 1], 0.0),
        ([0, 0, 0, 0, 1, 1, 1, 1], 0.0),
        # Four beside it neither meets the other: precision and recall (0 + 1) / (1 + 1), F1 a half.
        ([0, 0, 1, 1, 1, 1, 1, 1], 0.5),
        # No boundary is predicted: precision (0 + 1) / (0 + 1), recall 1/2, F1 2/3.
        ([0, 0, 0, 0, 0, 0, 0, 0], 1 / 3),
    ],
)
def test_boundary_by_hand(predicted, by_hand):
    batch = make_pixels(*_predict(*predicted), target=[0, 0, 0, 0, 0, 0, 1, 1])
    assert boundary_loss(*batch).item() == pytest.approx(by_hand, abs=1e-6)


def test_soft_boundary_by_hand():
    # Softmax 3/4 and 1/4, then 1/4 and 3/4. Class 0 lacks 1/4 at the first pixel and 3/4 at the second: its boundary is
    # 3/4 - 1/4 at the first, nothing at the second. Precision 1, recall (1/2 + 1) / (1 + 1), F1 6/7; class 1 alike.
    batch = make_pixels([math.log(3), 0], [0, math.log(3)], target=[0, 1])
    assert boundary_loss(*batch).item() == pytest.approx(1 / 7, abs=1e-6)


def test_boundary_of_a_class_is_its_own_pixels_and_not_those_beside_it():
    # A pixel of class 1 between two others: each class has one boundary pixel, though two lie beside class 1. None is
    # predicted: of each precision 1, recall (0 + 1) / (1 + 1), F1 2/3.
    batch = make_pixels(*[[99, 0, 0]] * 7, target=[0, 0, 0, 1, 2, 2, 2])
    assert boundary_loss(*batch).item() == pytest.approx(1 / 3, abs=1e-6)


def test_void_makes_no_boundary():
    predicted = _predict(0, 1, 0, 0)
    assert boundary_loss(*make_pixels(*predicted, target=[0, VOID, 0, 0])).item() == 0
    # Without void it does, and class 0 predicts a boundary where none is true.
    assert boundary_loss(*make_pixels(*predicted, target=[0, 0, 0, 0])).item() > 0
    # Where none is predicted none is missed: neither beside void nor in it, also where another class follows.
    for target in ([0, VOID, 0, 0], [0, VOID, 1, 1]):
        assert boundary_loss(*make_pixels(*_predict(0, 0, 0, 0), target=target)).item() == 0


def test_boundary_pulls_the_predicted_one_to_the_true_one():
    logits, target = make_pixels([2.0, 0], [2.0, 0], [0.5, 0], [0.4, 0], [0, 2.0], target=[0, 0, 0, 1, 1])
    for _ in range(200):
        logits = logits - 2 * gradient_of(boundary_loss, logits, target)
    assert boundary_loss(logits, target) < 0.05
