import shutil
from types import SimpleNamespace

import pytest
import ray
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, RayError, RayTaskError, RuntimeEnvSetupError
from ray.train._internal.storage import StorageContext

from search.run.evicted import (
    as_death,
    describe_death,
    describe_eviction,
    evicted_taken_for_dead,
    find_evicting_node,
    find_unprepared_node,
    is_bystander,
)


@pytest.fixture
def task() -> SimpleNamespace:
    """A worker's task, as Ray Tune keeps it, which notes what it is told."""
    told: list[Exception] = []

    def on_error(actor: object, exception: Exception) -> None:
        told.append(exception)

    actor = SimpleNamespace(actor_id=7, _on_error=on_error)
    return SimpleNamespace(_tracked_actor=actor, _on_error=None, told=told)


def fail(task: SimpleNamespace, exception: Exception) -> set[int]:
    """Tell Ray Tune's own manager of workers that a task failed; return the workers that it gave up."""
    manager = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda tracked_actor: None)
    # By name, as Ray Tune does.
    RayActorManager._actor_task_failed(manager, tracked_actor_task=task, exception=exception)
    return manager._failed_actor_ids


def test_a_worker_that_the_memory_monitor_ended_is_one_that_died(task):
    evicted = OutOfMemoryError("the node has 0.96 of its memory in use")
    with evicted_taken_for_dead():
        assert fail(task, evicted) == {7}
    (died,) = task.told
    assert isinstance(died, RayActorError)
    assert "0.96 of its memory" in str(died)
    with pytest.raises(RuntimeError, match="Caught unexpected exception"):
        fail(task, evicted)


RAY_SAYS = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 127.0.0.1, ID: 3f) was "
    "22.27GB used / 23.54GB limit (0.946202)\nRefer to the documentation on how to address the issue"
)


def test_a_worker_that_the_memory_monitor_ended_as_it_started_is_one_that_died():
    told: list[Exception] = []
    manager = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda tracked_actor: None)
    actor = SimpleNamespace(actor_id=7, _on_error=lambda actor, exception: told.append(exception))
    mistake = ValueError("no error of Ray's")
    with evicted_taken_for_dead():
        for exception in (OutOfMemoryError(RAY_SAYS), mistake):
            RayActorManager._actor_start_failed(manager, tracked_actor=actor, exception=exception)
    died, other = told
    assert isinstance(died, RayActorError)
    assert str(died).splitlines()[-1].startswith("its node ran out of memory (22.27 of 23.54 GB in use)")
    assert other is mistake


UNPREPARED = (
    "Could not create the actor because its associated runtime env failed to be created.\n"
    "[Node 10.0.0.2] Traceback (most recent call last):\n  File agent.py\n"
    "OSError: [Errno 28] No space left on device: '/tmp/ray/session_2026/logs/runtime_env_setup-01000000.log'"
)


def test_a_worker_that_its_node_could_not_prepare_is_one_that_died_there(local_ray):
    told: list[Exception] = []
    (here,) = ray.nodes()
    group = ray.util.placement_group([{"CPU": 1}])
    ray.get(group.ready())
    manager = SimpleNamespace(
        _failed_actor_ids=set(),
        _cleanup_actor=lambda tracked_actor: None,
        get_actor_resources=lambda tracked_actor: SimpleNamespace(placement_group=group),
    )
    actor = SimpleNamespace(actor_id=7, _on_error=lambda actor, exception: told.append(exception))
    with evicted_taken_for_dead():
        exception = RuntimeEnvSetupError(UNPREPARED)
        RayActorManager._actor_start_failed(manager, tracked_actor=actor, exception=exception)
    (died,) = told
    assert isinstance(died, RayActorError)
    assert find_unprepared_node(died) == here["NodeID"]
    last = str(died).splitlines()[-1]
    assert last.startswith(
        "its node could not prepare its worker, see the disk of Ray's folder there: OSError: [Errno 28]"
    )
    assert len(last) <= 200, "tables show no more"
    for other in (RayActorError(error_msg="Its node died [Node 10.0.0.2]"), None):
        assert find_unprepared_node(other) is None


def test_the_node_that_ended_a_worker_for_want_of_memory_is_known():
    evicted = OutOfMemoryError(RAY_SAYS)
    assert find_evicting_node(evicted) == find_evicting_node(as_death(evicted)) == "3f"
    for other in (RayActorError(error_msg="Its node died (IP: 127.0.0.1, ID: 3f)."), None):
        assert find_evicting_node(other) is None


def test_a_worker_that_the_memory_monitor_ended_says_so_in_its_last_line():
    told = str(as_death(OutOfMemoryError(RAY_SAYS))).splitlines()[-1]
    assert told.startswith("its node ran out of memory (22.27 of 23.54 GB in use), so Ray ended its worker; let fewer")
    assert len(told) <= 200, "tables show no more"


def test_a_worker_that_ended_without_a_word_says_in_its_last_line_what_may_have_killed_it():
    ray_says = "Worker exit type: SYSTEM_ERROR Worker unexpectedly exits with a connection error code 2. End of file."
    told = describe_death(RayActorError(error_msg=f"The actor died unexpectedly.\n{ray_says}\nThe actor never ran."))
    assert told.startswith("its worker crashed or was killed, perhaps by the kernel for want of memory ('dmesg' tells)")
    assert len(told) <= 200, "tables show no more"
    for other in (RayActorError(error_msg="Its node died."), ValueError(ray_says), None):
        assert describe_death(other) == ""


def test_a_worker_that_does_not_see_the_searchs_folder_says_so_in_its_last_line(tmp_path):
    """Ray Tune names settings of its own instead."""
    storage = StorageContext(str(tmp_path), experiment_dir_name="run")
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(RuntimeError) as caught:
        storage._check_validation_file()
    told = describe_death(RayTaskError("train", str(caught.value), caught.value))
    assert told.startswith("its node does not see the search's folder: mount the storage there")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("can't start new thread", "its node starts no more threads: raise 'ulimit -u'"),
        ("DataLoader worker (pid 7) is killed by signal: Killed.", "a process that loaded its samples was killed"),
        ("shapes differ", ""),
    ],
)
def test_a_training_that_its_machine_let_down_says_in_its_last_line_what_to_do(said, told):
    found = describe_death(RayTaskError("train", f"RuntimeError: {said}", RuntimeError(said)))
    assert found.startswith(told) and bool(found) == bool(told)
    assert len(found) <= 200, "tables show no more"


def test_what_ray_tune_knows_stays_what_it_is(task):
    died = RayActorError(error_msg="gone")
    assert as_death(died) is died
    mistake = ValueError("no error of Ray's")
    assert as_death(mistake) is mistake
    with evicted_taken_for_dead():
        assert fail(task, died) == {7}
    assert task.told == [died]


def test_a_node_that_is_gone_is_named_without_rays_advice():
    told = (
        "Task failed because the node it was running on is dead or unavailable. Node IP: 10.0.0.2, node ID: "
        "d13ffde8430af3f2. This can happen if the node was preempted. To see node death information, use `ray list`."
    )
    assert describe_eviction(NodeDiedError(told)) == "its node 10.0.0.2 (d13ffde8) is gone, or cannot be reached"
    assert describe_eviction(NodeDiedError("")) == "its node is gone, or cannot be reached"


def test_another_error_of_rays_is_told_by_its_last_line():
    assert describe_eviction(RayError("pages of a stack\nthe node died\n")) == "the node died"
    assert describe_eviction(RayError("the node died")) == "the node died"


RAY_LISTS = """2 worker(s) were killed due to the node running low on memory.
Considered workers: [
Selected to kill: (Actor(05b1): job ID=01, task name=A.__init__, pid=2865, actual memory used={new}GB, worker ID=93)
Selected to kill: (Actor(1cd0): job ID=01, task name=A.__init__, pid=2864, actual memory used={old}GB, worker ID=3f)
]
Top 10 memory users: PID\tMEM(GB)\tCOMMAND
15206\t{program}\tpython -u other.py
2864\t{old}\tray::ImplicitFunc.train
"""


@pytest.mark.parametrize(
    ("new", "old", "program", "bystanders"),
    [
        (0.36, 1.30, 0.87, {"05b1"}),
        (1.10, 1.30, 0.87, set()),
        (0.36, 1.30, 8.00, {"05b1", "1cd0"}),
        (3.00, 1.30, 0.87, {"1cd0"}),
    ],
)
def test_a_worker_that_was_ended_for_what_another_took_is_known(new, old, program, bystanders):
    evicted = as_death(OutOfMemoryError(RAY_LISTS.format(new=new, old=old, program=program)))
    assert {name for name in ("05b1", "1cd0", "") if is_bystander(evicted, name)} == bystanders
    assert not is_bystander(None, "05b1")


@pytest.mark.parametrize(("in_use", "is_charged"), [(6.0, False), (5.0, True)])
def test_a_worker_is_not_charged_where_many_programs_filled_the_memory(in_use, is_charged):
    # Together the workers took 2.6 GB, and no program is twice as large as either.
    memory = f"Memory on the node (IP: 127.0.0.1, ID: 3f) was {in_use:.2f}GB used / 7.00GB limit (0.95)\n"
    evicted = as_death(OutOfMemoryError(memory + RAY_LISTS.format(new=1.3, old=1.3, program=0.87)))
    assert is_bystander(evicted, "05b1") is not is_charged


@pytest.mark.parametrize(
    ("program", "is_charged"), [("0.20\tpython other.py", False), ("1.00\tray::ImplicitFunc.train", True)]
)
def test_a_worker_is_charged_for_the_memory_of_processes_that_load_samples(program, is_charged):
    memory = "Memory on the node (IP: 127.0.0.1, ID: 3f) was 9.00GB used / 9.50GB limit (0.95)\n"
    # The two workers of 1.3 GB and this one's loaders: 2.6 + 7 x 1.0 of 9 GB, or 2.6 of 9 GB without any.
    loaders = "".join(f"{number}\t{program}\n" for number in range(3000, 3007))
    evicted = as_death(OutOfMemoryError(memory + RAY_LISTS.format(new=1.3, old=1.3, program=0.87) + loaders))
    assert is_bystander(evicted, "05b1") is not is_charged


def test_a_worker_is_charged_where_more_of_rays_processes_than_are_named_may_have_filled_the_memory():
    memory = "Memory on the node (IP: 127.0.0.1, ID: 3f) was 9.00GB used / 9.50GB limit (0.95)\n"
    evicted = as_death(OutOfMemoryError(memory + RAY_LISTS.format(new=1.3, old=1.3, program=1.4)))
    assert not is_bystander(evicted, "05b1")
