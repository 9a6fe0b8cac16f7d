"""What nodes hold, worked out by hand; nodes that are looked at, on a real cluster, are in `test_nodes`."""

from types import SimpleNamespace

import pytest

from search.run import capacity
from search.run.capacity import Capacity, count_concurrent, describe_lack, select_others, share_gpus


@pytest.fixture
def machines(monkeypatch) -> SimpleNamespace:
    """Two nodes of 4 CPUs, the second with a GPU, and a clock that is set by hand."""
    found = SimpleNamespace(now=1000.0, nodes=[make_node("aa", CPU=4), make_node("bb", CPU=4, GPU=1)])
    monkeypatch.setattr(capacity, "alive_nodes", lambda: found.nodes)
    monkeypatch.setattr(capacity, "time", SimpleNamespace(monotonic=lambda: found.now))
    return found


def make_node(name: str, **resources: float) -> dict:
    """A node as Ray describes it; its address ends as its name does."""
    return {"NodeID": name, "NodeManagerAddress": f"10.0.0.{name}", "Resources": resources}


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


def test_nodes_that_join_and_leave_are_counted_a_second_later(make_place, machines):
    room = Capacity(make_place(cpus_per_trial=2))
    assert room.count() == 4
    machines.nodes = machines.nodes[:1]
    assert room.count() == 4
    machines.now += 1
    assert room.count() == 2


def test_no_more_trials_run_at_a_time_than_wished(make_place, machines):
    assert Capacity(make_place(cpus_per_trial=2, max_concurrent=3)).count() == 3


@pytest.mark.parametrize("wait_seconds", [0, 10])
def test_a_node_that_rests_is_there_so_that_a_short_wait_is_none_for_it(make_place, machines, wait_seconds):
    room = Capacity(make_place(cpus_per_trial=2, wait_seconds=wait_seconds))
    assert room.count() == 4
    for node in ("aa", "bb"):
        room.rest(node)
    machines.now += 29.5
    assert (room.count(), room.is_given_up) == (0, False)
    # Its rest is over, and nobody has counted since.
    machines.now += 0.75
    assert (room.count(), room.is_given_up) == (0, False)
    machines.now += 0.25
    assert (room.count(), room.is_given_up) == (4, False)


def test_a_node_that_rests_holds_nothing_for_half_a_minute(make_place, machines):
    room = Capacity(make_place(cpus_per_trial=2))
    assert (room.count(), room.left_out) == (4, [])
    room.rest("aa")
    assert (room.count(), room.left_out) == (2, ["aa"])
    room.rest("bb")
    assert (room.count(), room.left_out) == (0, ["aa", "bb"])
    machines.now += 29
    assert room.lack == (
        "waiting a while for node 10.0.0.aa (aa), node 10.0.0.bb (bb), where a worker was lost by no fault of its trial"
    )
    machines.now += 1
    assert (room.count(), room.left_out, room.lack) == (4, [], None)


def test_a_bad_node_is_given_trials_only_where_it_is_the_last(make_place, machines):
    room = Capacity(make_place(cpus_per_trial=2))
    room.leave_out("aa")
    assert (room.count(), room.left_out) == (2, ["aa"])
    machines.nodes = machines.nodes[:1]
    machines.now += 1
    assert (room.count(), room.left_out) == (2, [])


def test_a_wait_for_a_node_begins_anew_with_each_that_could_hold_a_trial(make_place, machines):
    room = Capacity(make_place(gpus_per_trial=1, wait_seconds=600))
    gpu = machines.nodes.pop()
    machines.now += 599
    assert (room.empty_seconds, room.is_given_up) == (599, False)
    machines.nodes.append(gpu)
    machines.now += 1
    assert (room.empty_seconds, room.is_given_up) == (0, False)
    machines.nodes.remove(gpu)
    machines.now += 600
    assert (room.empty_seconds, room.is_given_up) == (600, True)
    assert room.lack == (
        "waiting for a node with 1 GPU and 1 CPU: 1 node is here, the largest with 0 GPUs and 4 CPUs; "
        "ends after 10 min (--wait)"
    )


def test_kinds_of_gpu_are_those_of_nodes_that_hold_a_trial(make_place, machines):
    machines.nodes[1]["Resources"]["accelerator_type:A100"] = 1.0
    machines.nodes.append(make_node("cc", CPU=1, GPU=1, **{"accelerator_type:T4": 1.0}))
    room = Capacity(make_place(gpus_per_trial=1, cpus_per_trial=2))
    assert room.find_accelerators() == {"A100"}
    assert room.find_addresses() == {"bb": "10.0.0.bb"}
    assert (capacity.accelerator_of("cc"), capacity.accelerator_of("aa"), capacity.accelerator_of("dd")) == (
        "T4",
        None,
        None,
    )
