"""Bounds of processes and threads, read from files as Linux writes them."""

import os
import resource
from pathlib import Path

import pytest

from search.run import threads
from search.run.threads import Bound, find_group_bounds, find_user_bounds, require_threads
from segcore.errors import ClusterError


def write(root: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


@pytest.mark.parametrize(
    ("told", "files", "bounds"),
    [
        ("0::/a/b\n", {"a/b/pids.max": "100\n", "a/b/pids.current": "7\n"}, [("a/b", 100, 7)]),
        (
            "0::/a/b\n",
            {"a/b/pids.max": "max\n", "a/b/pids.current": "7\n", "a/pids.max": "50\n", "a/pids.current": "9\n"},
            [("a", 50, 9)],
        ),
        (
            "3:cpu,cpuacct:/x\n2:pids:/a\n",
            {"pids/a/pids.max": "60\n", "pids/a/pids.current": "2\n"},
            [("pids/a", 60, 2)],
        ),
        ("2:pids:/docker/4f\n", {"pids/pids.max": "60\n", "pids/pids.current": "2\n"}, [("pids", 60, 2)]),
        ("0::/\n", {}, []),
        ("3:cpu:/x\n", {"pids/x/pids.max": "60\n", "pids/x/pids.current": "2\n"}, []),
    ],
    ids=["own group", "group above", "first kind", "told as from outside", "outermost", "of another kind"],
)
def test_the_groups_of_this_process_say_how_many_threads_it_may_have(tmp_path, told, files, bounds):
    write(tmp_path / "proc", {"self/cgroup": told})
    write(tmp_path / "groups", files)
    found = find_group_bounds(tmp_path / "proc", tmp_path / "groups")
    named = [
        (str(Path(bound.name).parent.relative_to(tmp_path / "groups")), bound.most, bound.there) for bound in found
    ]
    assert named == bounds


def test_where_nothing_is_told_nothing_bounds(tmp_path):
    assert list(find_group_bounds(tmp_path, tmp_path)) == []


def test_a_users_threads_are_counted_in_all_processes_and_nobody_elses(tmp_path, monkeypatch):
    own, other = os.getuid(), os.getuid() + 1
    status = "Name:\tpython\nUid:\t{0}\t{0}\t{0}\t{0}\nThreads:\t{1}\n"
    write(tmp_path, {"10/status": status.format(own, 40), "11/status": status.format(own, 2)})
    write(tmp_path, {"12/status": status.format(other, 500), "self/status": status.format(own, 40)})
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (150, 150))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (bound,) = find_user_bounds(tmp_path)
    assert (bound.most, bound.there) == (150, 42)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert list(find_user_bounds(tmp_path)) == [], "Linux lets root have any number"


def test_too_few_threads_are_told_before_ray_aborts(monkeypatch):
    monkeypatch.setattr(threads, "find_user_bounds", lambda: [])
    monkeypatch.setattr(threads, "find_group_bounds", lambda: [Bound(name="pids.max", most=200, there=40)])
    require_threads("")
    monkeypatch.setattr(threads, "find_group_bounds", lambda: [Bound(name="pids.max", most=200, there=41)])
    with pytest.raises(ClusterError, match=r"^pids.max is 200, of which 41 are there: a Ray of this"):
        require_threads("")
    require_threads("10.0.0.1:6379")
