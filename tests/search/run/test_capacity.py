import pytest

from search.run.capacity import count_concurrent, describe_lack, select_others, share_gpus


def nodes(*resources: tuple[float, float]) -> list[dict]:
    """Nodes with so many GPUs and CPUs."""
    return [{"Resources": {"GPU": gpus, "CPU": cpus}} for gpus, cpus in resources]


@pytest.mark.parametrize(
    ("here", "values", "told"),
    [
        ([], {"gpus_per_trial": 1}, "a node with 1 GPU and 1 CPU: none is here"),
        (
            [(0, 8), (0, 4)],
            {"gpus_per_trial": 1, "cpus_per_trial": 4},
            "a node with 1 GPU and 4 CPUs: 2 nodes are here, the largest with 0 GPUs and 8 CPUs",
        ),
        ([(1, 2)], {"cpus_per_trial": 4}, "a node with 4 CPUs: 1 node is here, the largest with 1 GPU and 2 CPUs"),
    ],
)
def test_what_is_missing_for_a_trial(make_place, here, values, told):
    assert describe_lack(make_place(**values), nodes(*here)) == told


def test_a_trial_needs_its_gpus_and_cpus_on_one_node(make_place):
    place = make_place(gpus_per_trial=1, cpus_per_trial=4)
    assert count_concurrent(place, nodes((0, 16), (4, 2), (2, 7))) == 1


@pytest.mark.parametrize(
    ("cores", "each", "held"), [(33, 1.1, 30), (66, 2.2, 30), (81, 2.7, 30), (32.9, 1.1, 29), (3, 1.0, 3)]
)
def test_a_node_holds_as_many_trials_as_its_cores_divide_into_though_fractions_are_rounded(
    make_place, cores, each, held
):
    assert count_concurrent(make_place(cpus_per_trial=each), nodes((0, cores))) == held


def test_nodes_are_left_out_by_what_ray_names_them_and_none_by_no_label():
    assert select_others(["4f", "a1"]) == {"ray.io/node-id": "!in(4f,a1)"}
    assert select_others([]) == {}


@pytest.mark.parametrize(
    ("gpus", "each", "held"), [(4, 2, 2.0), (3, 2, 1.5), (2, 0.25, 8), (1, 0.3, 3), (2, 0.3, 6), (2, 0.6, 2)]
)
def test_gpus_hold_trials_and_what_is_left_over_of_a_shared_one_is_lost(gpus, each, held):
    assert share_gpus(gpus, each) == held
