"""Groups of choices: every training that they name can be begun, and a base is trained beside them."""

import pytest

from benchmarks.throughput.choices.groups import BASE, GPU_GROUPS, GROUPS, Group, describe
from segcore.config import TrainConfig

GROUP = Group(base={"epochs": 2}, changes=({"loss": "focal"},), seeds=(0, 1), base_seeds=(0,))


@pytest.mark.parametrize("name", GROUPS)
def test_every_training_of_a_group_is_a_configuration_of_its_own(name):
    configs = [TrainConfig.from_values({**BASE, **values}) for values in GROUPS[name].trainings()]
    assert len(set(configs)) == len(configs)


def test_the_base_comes_first_and_the_seeds_of_a_choice_together():
    assert list(GROUP.trainings()) == [
        {"epochs": 2, "seed": 0},
        {"epochs": 2, "loss": "focal", "seed": 0},
        {"epochs": 2, "loss": "focal", "seed": 1},
    ]


def test_another_base_leaves_the_choices_as_they_are():
    changed = list(GROUP.rebase({"epochs": 1, "loss": "ce"}).trainings())
    assert changed[0] == {"epochs": 1, "loss": "ce", "seed": 0}
    assert changed[1] == {"epochs": 1, "loss": "focal", "seed": 0}


def test_groups_of_a_gpu_have_one_base_so_that_it_is_trained_once():
    assert len({describe(group.base) for group in GPU_GROUPS.values()}) == 1
