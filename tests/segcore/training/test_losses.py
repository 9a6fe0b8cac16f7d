import math

import pytest
import torch

from segcore.data.classes import VOID
from segcore.expressions import LOSS_NAMES
from segcore.training.losses import build_loss
from segcore.training.pixel_losses import HardPixels, binary_cross_entropy, focal_loss, softmax_cross_entropy
from tests.segcore.training.pixels import make_pixels

HARD = {"loss": "ce+bce+focal", "ohem_share": 0.3, "label_smoothing": 0.1}
EVERY_LOSS = [*({"loss": name} for name in LOSS_NAMES), {"loss": "ce+0.5*jaccard+2*focal"}, HARD]
every_loss = pytest.mark.parametrize("values", EVERY_LOSS, ids=lambda values: " ".join(map(str, values.values())))


def test_names_say_which_cross_entropy(make_config):
    # The values of the two tests above at one pixel: -ln 0.75, and (-ln 0.75 - ln 0.5) / 2.
    batch = make_pixels([math.log(3), 0], target=[0])
    for name, by_hand in (("ce", 0.28768), ("bce", 0.49041)):
        assert build_loss(make_config(loss=name))(*batch).item() == pytest.approx(by_hand, abs=1e-5)


def test_weighted_sum_adds_the_terms(make_config):
    # The pixels of the tests above, softmax 3/4 and 1/4 for truth 0: 2 * 0.28768 + 0.5 * jaccard;
    # jaccard: inside 0.75, predicted 0.75, truth 1, union 1: 1 - 1.75 / 2 = 0.125.
    batch = make_pixels([math.log(3), 0], target=[0])
    assert build_loss(make_config(loss="2*ce+0.5*jaccard"))(*batch).item() == pytest.approx(
        2 * 0.287682 + 0.5 * 0.125, abs=1e-5
    )


def test_focal_gamma_comes_from_the_configuration(make_config):
    batch = make_pixels([math.log(3), 0], target=[0])
    # (1/4)^1 * 0.287682 and (1/4)^3 * 0.287682
    for gamma, value in ((1.0, 0.0719205), (3.0, 0.0044950)):
        assert build_loss(make_config(loss="focal", focal_gamma=gamma))(*batch).item() == pytest.approx(value, abs=1e-6)


def test_parts_of_a_batch_weigh_what_their_valid_pixels_weigh(make_config):
    target = torch.tensor([[[0, 0, 1, VOID]]], dtype=torch.uint8)
    assert build_loss(make_config(loss="ce")).weigh_pixels(target).item() == 3
    # Two pixels of weight 0.5 and one of 4.
    weighted = build_loss(make_config(loss="ce"), torch.tensor([0.5, 4.0]))
    assert weighted.weigh_pixels(target).item() == 5


def _value_and_gradient(config, logits, target):
    logits = logits.clone().requires_grad_(True)
    value = build_loss(config)(logits, target)
    value.backward()
    return value.detach(), logits.grad


@every_loss
def test_void_pixels_change_neither_value_nor_gradient(make_config, values):
    config = make_config(**values)
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


@every_loss
def test_batch_of_void_costs_nothing_and_pulls_nowhere(make_config, values):
    value, gradient = _value_and_gradient(make_config(**values), torch.randn(2, 3, 4, 5), torch.full((2, 4, 5), VOID))
    assert value == 0
    assert (gradient == 0).all()


@every_loss
def test_batch_of_a_single_class_is_finite_and_rewards_that_class(make_config, values):
    value, gradient = _value_and_gradient(make_config(**values), torch.zeros(1, 3, 4, 4), torch.full((1, 4, 4), 1))
    assert gradient.isfinite().all()
    if values["loss"] == "boundary":
        # One class has no boundary.
        assert value == 0
        return
    assert math.isfinite(value) and value > 0
    assert (gradient[:, 1] < 0).all()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@every_loss
def test_half_precision_logits_give_the_fp32_value(make_config, values, kind):
    loss = build_loss(make_config(**values))
    random = torch.Generator().manual_seed(0)
    # fp16 sums end at 65504; 128 x 128 pixels at a loss of about 8 exceed that.
    logits = (10 * torch.randn(1, 3, 128, 128, generator=random)).to(kind)
    target = torch.randint(0, 3, (1, 128, 128), generator=random)
    value = loss(logits, target)
    assert value.dtype == torch.float32
    assert math.isfinite(value)
    assert value == loss(logits.float(), target)


def test_targets_may_be_the_loaders_bytes(make_config):
    logits, target = make_pixels([math.log(3), 0], [5, 5], target=[0, VOID])
    value = build_loss(make_config(loss="ce"))(logits, target.to(torch.uint8))
    assert value.item() == pytest.approx(0.28768, abs=1e-5)


WEIGHTS = torch.tensor([1.0, 3.0])


@pytest.mark.parametrize(
    ("expression", "weighted"),
    [
        ("ce", True),
        ("bce", True),
        ("focal", True),
        ("jaccard", False),
        ("dice", False),
        ("lovasz", False),
        ("boundary", False),
    ],
)
def test_weights_reach_the_losses_that_are_means_over_pixels(make_config, expression, weighted):
    batch = make_pixels([math.log(3), 0], [math.log(3), 0], target=[0, 1])
    config = make_config(loss=expression)
    plain, heavy = build_loss(config)(*batch).item(), build_loss(config, WEIGHTS)(*batch).item()
    assert (heavy != plain) == weighted


@every_loss
@pytest.mark.parametrize("only", [VOID, 2])
def test_batch_of_void_or_of_no_weight_costs_nothing(make_config, values, only):
    logits = torch.randn(2, 3, 4, 5).requires_grad_(True)
    loss = build_loss(make_config(**values), torch.tensor([1.0, 2.0, 0.0]))
    result = loss(logits, torch.full((2, 4, 5), only))
    result.backward()
    assert result.isfinite() and logits.grad.isfinite().all()
    if only == VOID or values["loss"] in ("ce", "bce", "focal", HARD["loss"]):
        assert result == 0 and (logits.grad == 0).all()


@pytest.mark.parametrize(
    ("name", "function", "smoothed"),
    [("ce", softmax_cross_entropy, True), ("bce", binary_cross_entropy, True), ("focal", focal_loss, False)],
)
def test_choices_of_a_configuration_reach_every_loss_of_single_pixels(make_config, name, function, smoothed):
    logits, target = make_pixels([3, 0], [0, 1], [-2, 0], [0.5, 0], target=[0, 1, 1, 0])
    weights_C, hard = torch.tensor([2.0, 0.5]), HardPixels(share=0.5, probability=0.3)
    values = {"label_smoothing": 0.2, "ohem_share": 0.5, "ohem_probability": 0.3, "focal_gamma": 1.5}
    found = build_loss(make_config(loss=name, **values), weights_C)(logits, target)
    options = {"smoothing": 0.2} if smoothed else {"gamma": 1.5}
    assert found == function(logits, target, weights_C=weights_C, hard=hard, **options)
    # Each of them counts.
    for without in ({"weights_C": None}, {"hard": None}, {"smoothing": 0.0} if smoothed else {"gamma": 2.0}):
        assert found != function(logits, target, **{"weights_C": weights_C, "hard": hard, **options, **without})


def test_smoothing_and_hard_pixels_come_from_the_configuration(make_config):
    # Softmax 3/4 and 1/4 of the truth; a fifth of it spread over two classes: 0.9 * 0.287682 + 0.1 * 1.386294.
    logits, target = make_pixels([math.log(3), 0], [0, math.log(3)], target=[0, 0])
    smoothed = build_loss(make_config(label_smoothing=0.2))(logits[..., :1], target[..., :1])
    assert smoothed.item() == pytest.approx(0.397543, abs=1e-5)
    # The harder half is the second pixel; the first is less probable than 0.8 all the same.
    for probability, by_hand in ((0.5, 1.386294), (0.8, (0.287682 + 1.386294) / 2)):
        config = make_config(ohem_share=0.5, ohem_probability=probability)
        assert build_loss(config)(logits, target).item() == pytest.approx(by_hand, abs=1e-5)
