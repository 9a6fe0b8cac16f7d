import torch

from segcore.machine import Machine
from segcore.training.state import new_state

MACHINE = Machine()


def test_seed_decides_the_initial_weights(make_config):
    one, again, other = (new_state(make_config(seed=seed), 4, MACHINE).model.state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(tensor, again[name]) for name, tensor in one.items())
    head = "network.segmentation_head.0.weight"
    assert not torch.equal(one[head], other[head])


def test_rate_and_decay_reach_the_optimizer(make_config):
    state = new_state(make_config(optimizer="sgd", learning_rate=0.3, weight_decay=0.2), 4, MACHINE)
    group = state.optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"], group["momentum"]) == (0.3, 0.2, 0.9)
