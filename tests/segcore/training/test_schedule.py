import itertools
import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from segcore.training.schedule import count_plateaus, cycle_ends, cyclic_factor, has_stalled, onecycle_factor, rate_at


def test_constant_rate_stays(make_config):
    config = make_config(rate_schedule="constant", learning_rate=0.02)
    assert {rate_at(config, step, 10, [3.0] * 9) for step in range(10)} == {0.02}


@pytest.mark.parametrize("total_steps", [10, 27, 100])
def test_onecycle_equals_torchs(make_config, total_steps):
    config = make_config(rate_schedule="onecycle", learning_rate=0.4)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.4, total_steps=total_steps, cycle_momentum=False)
    for step in range(total_steps):
        assert rate_at(config, step, total_steps, []) == pytest.approx(torchs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        if step < total_steps - 1:
            torchs.step()


def test_onecycle_by_hand():
    # 100 steps: warm-up ends at step 0.3 * 100 - 1 = 29, half-way there is 14.5.
    assert onecycle_factor(0, 100) == pytest.approx(1 / 25)
    assert (onecycle_factor(14, 100) + onecycle_factor(15, 100)) / 2 == pytest.approx((1 + 1 / 25) / 2)
    assert onecycle_factor(29, 100) == pytest.approx(1)
    assert onecycle_factor(99, 100) == pytest.approx(4e-6)
    # 3 steps: a share of 0.3 would end before it began; one step warms up all the same.
    assert [onecycle_factor(step, 3) for step in range(3)] == pytest.approx([1 / 25, 1, 4e-6])


@given(st.integers(1, 300).flatmap(lambda total: st.tuples(st.integers(0, total - 1), st.just(total))))
def test_onecycle_stays_between_its_end_and_its_peak(step_and_total):
    assert 4e-6 * (1 - 1e-9) <= onecycle_factor(*step_and_total) <= 1


def test_plateau_lowers_the_rate_for_each_wait(make_config):
    config = make_config(rate_schedule="plateau", learning_rate=1.0, plateau_factor=0.5, plateau_patience_epochs=2)
    # Losses 3, 2 fall; 2, 2 is the first wait of two epochs, 2.5, 2.5 the second.
    losses = [3.0, 2.0, 2.0, 2.0, 2.5, 2.5]
    rates = [rate_at(config, 0, 10, losses[:epochs]) for epochs in range(7)]
    assert rates == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25]


def test_lower_loss_starts_the_wait_anew():
    assert count_plateaus([2.0, 2.1, 1.9, 2.0, 1.8], 2) == 0
    assert count_plateaus([2.0, 2.1, 2.0, 1.9], 2) == 1


def test_training_stalls_when_patience_brought_no_better_score():
    assert not has_stalled([0.1, 0.3, 0.2], 2)  # one epoch since the best
    assert has_stalled([0.1, 0.3, 0.2, 0.3], 2)  # an equal score is no better one
    assert not has_stalled([0.1, 0.3, 0.2, 0.31], 2)
    assert not has_stalled([0.3, 0.2], 2)
    assert not has_stalled([0.5, 0.9, 0.4, 0.4], 3)  # the best is one of the last three


def test_training_without_patience_never_stalls():
    assert not has_stalled([0.5] + [0.1] * 100, 0)


def test_cosine_and_poly_warm_up_and_fall_by_hand(make_config):
    # 100 steps: 5 of warm-up at 1/6, 2/6, ...; then the share of the other 95 steps counts.
    cosine, poly = (make_config(rate_schedule=name, learning_rate=1.0) for name in ("cosine", "poly"))
    for config in (cosine, poly):
        assert rate_at(config, 0, 100, []) == pytest.approx(1 / 6)
        assert rate_at(config, 4, 100, []) == pytest.approx(5 / 6)
        assert rate_at(config, 5, 100, []) == pytest.approx(1)
    # Of 30 steps 1.5 are warm-up, which are 2.
    assert [rate_at(cosine, step, 30, []) for step in range(3)] == pytest.approx([1 / 3, 2 / 3, 1])
    # share (43 - 5) / 95 = 0.4: (1 + cos(0.4 pi)) / 2 = 0.6545, and 0.6 ** 0.9 = 0.6314.
    assert rate_at(cosine, 43, 100, []) == pytest.approx(0.6545, abs=1e-4)
    assert rate_at(poly, 43, 100, []) == pytest.approx(0.6314, abs=1e-4)


@pytest.mark.parametrize("name", ["cosine", "poly"])
def test_laid_out_rates_stay_positive_and_below_the_peak(make_config, name):
    config = make_config(rate_schedule=name, learning_rate=0.5)
    for total in (1, 2, 7, 40):
        assert all(0 < rate_at(config, step, total, []) <= 0.5 for step in range(total))


def test_cycles_share_the_epochs_and_differ_by_one_at_most():
    assert cycle_ends(6, 3) == (2, 4, 6)
    assert cycle_ends(7, 3) == (2, 5, 7)
    assert cycle_ends(4, 4) == (1, 2, 3, 4)


def test_cyclic_rate_by_hand():
    # Cycles end after epochs 2 and 5: half of the first is epoch 1, a third of the second epoch 3.
    assert cyclic_factor(0, (2, 5)) == 1
    assert cyclic_factor(1, (2, 5)) == pytest.approx(0.5)
    assert cyclic_factor(2, (2, 5)) == 1
    assert cyclic_factor(3, (2, 5)) == pytest.approx((1 + 0.5) / 2)
    # Half of a third cycle, from epoch 5 to 9.
    assert cyclic_factor(7, (2, 5, 9)) == pytest.approx(0.5)


def test_cyclic_rate_starts_anew_with_the_first_step_of_each_cycle(make_config):
    config = make_config(rate_schedule="cyclic", cycles=2, epochs=4, learning_rate=0.2)
    # 10 steps an epoch, so a cycle has 20.
    rates = [rate_at(config, step, 40, []) for step in range(40)]
    assert rates[0] == rates[20] == 0.2
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[:20]))
    assert rates[19] == pytest.approx(0.2 * (1 + math.cos(math.pi * 19 / 20)) / 2)
