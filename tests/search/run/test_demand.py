"""What an autoscaler says of itself, as Ray 2.60 writes it."""

import json

import pytest
from ray.autoscaler.v2.schema import ClusterStatus, LaunchRequest, NodeInfo

from search.run import demand
from search.run.demand import Autoscaler, Demand, demanding, parse_report, parse_status


def report(**autoscaler_report: object) -> bytes:
    return json.dumps({"time": 1.0, "autoscaler_report": autoscaler_report}).encode()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, Autoscaler(runs=False)),
        (b'{"load_metrics_report": {}}', Autoscaler(runs=False)),
        # Nodes that somebody started by hand, as Ray's monitor mirrors them.
        (report(active_nodes={"node_83a76e04": 1, "node_ba836743": 1}), Autoscaler(runs=False)),
        (report(active_nodes={"ray.head.default": 1}, pending_nodes=[]), Autoscaler(runs=True)),
        (
            report(
                active_nodes={"head": 1},
                pending_launches={"gpu.worker": 2},
                pending_nodes=[["10.0.0.3", "gpu.worker", "setting-up"]],
            ),
            Autoscaler(runs=True, starting=3),
        ),
        (
            report(
                active_nodes={"head": 1},
                node_availability_summary={
                    "node_availabilities": {
                        "gpu.spot": {
                            "is_available": False,
                            "unavailable_node_information": {"category": "Capacity", "description": "no p3 in zone b"},
                        },
                        "gpu.worker": {"is_available": True, "unavailable_node_information": None},
                    }
                },
            ),
            Autoscaler(runs=True, trouble="gpu.spot: no p3 in zone b"),
        ),
    ],
)
def test_report_of_the_first_autoscaler(content, told):
    assert parse_report(content) == told


def node(node_type: str) -> NodeInfo:
    return NodeInfo(instance_type_name="", ray_node_type_name=node_type, instance_id="", ip_address="")


def launch(node_type: str, count: int, details: str | None = None) -> LaunchRequest:
    state = LaunchRequest.Status.FAILED if details else LaunchRequest.Status.PENDING
    return LaunchRequest("", node_type, count, state, 0, None, details)


def test_status_of_the_second_autoscaler():
    assert parse_status(ClusterStatus(active_nodes=[node("node_83a76e04")])) == Autoscaler(runs=False)
    starting = ClusterStatus(
        idle_nodes=[node("headgroup")], pending_nodes=[node("gpu")], pending_launches=[launch("gpu", 2)]
    )
    assert parse_status(starting) == Autoscaler(runs=True, starting=3)
    failing = ClusterStatus(active_nodes=[node("headgroup")], failed_launches=[launch("gpu", 2, "no quota")])
    assert parse_status(failing) == Autoscaler(runs=True, trouble="gpu: no quota")


@pytest.mark.parametrize(
    ("autoscaler", "told"),
    [
        (Autoscaler(runs=False), "no autoscaler runs, so add a node or end with Ctrl-C"),
        (Autoscaler(runs=True), "the autoscaler is asked for one"),
        (Autoscaler(runs=True, starting=2, trouble="b is out"), "the autoscaler is starting 2"),
        (Autoscaler(runs=True, trouble="a: no quota"), "the autoscaler cannot start one (a: no quota)"),
    ],
)
def test_what_is_to_be_expected_of_it(autoscaler, told):
    assert autoscaler.describe() == told


@pytest.fixture
def asked(monkeypatch):
    """What Ray's autoscaler is asked for, in order."""
    asked = []
    monkeypatch.setattr(demand, "request_resources", lambda bundles: asked.append(bundles))
    return asked


def test_room_is_asked_for_trial_by_trial_and_no_more_than_may_run_at_a_time(asked, make_place):
    Demand(make_place(cpus_per_trial=2)).wish(3)
    Demand(make_place(cpus_per_trial=2, gpus_per_trial=1, max_concurrent=2)).wish(3)
    Demand(make_place(max_concurrent=2)).wish(1)
    assert asked == [3 * [{"CPU": 2.0}], 2 * [{"CPU": 2.0, "GPU": 1.0}], [{"CPU": 1.0}]]


def test_a_wish_is_said_again_when_it_changes_or_may_have_been_overruled(asked, make_place, monkeypatch):
    wished = Demand(make_place())
    for trials in (2, 2, 1):
        wished.wish(trials)
    assert [len(bundles) for bundles in asked] == [2, 1]
    monkeypatch.setattr(demand, "_AGAIN_SECONDS", 0.0)
    wished.wish(1)
    assert [len(bundles) for bundles in asked] == [2, 1, 1]


def test_room_is_given_back_once_however_the_search_ends(asked, make_place):
    with pytest.raises(KeyError), demanding(make_place(max_concurrent=4), 80) as wished:
        wished.wish(2)
        raise KeyError
    assert [len(bundles) for bundles in asked] == [4, 2, 0]
    wished.wish(0)
    assert len(asked) == 3


@pytest.mark.parametrize(("most", "trials", "nodes"), [(1000, 6, 6), (4, 6, 4), (0, 6, 1)])
def test_no_more_room_is_asked_for_at_first_than_there_are_trials(asked, make_place, most, trials, nodes):
    """Nodes that nobody needs would start, and cost until they idle."""
    with demanding(make_place(max_concurrent=most), trials):
        assert [len(bundles) for bundles in asked] == [nodes]
