from types import SimpleNamespace

import pytest
from ray.exceptions import RayActorError

from search.run.failures import find_failed_node, is_of_node, read_failure, tell_failure
from segcore.errors import ClusterError


def test_of_a_failure_that_ray_tells_in_pages_the_last_whole_lines_are_kept(tmp_path):
    (tmp_path / "error.txt").write_text("\n".join(f"line {number} of what was said" for number in range(500)))
    told = tell_failure(SimpleNamespace(error_file=tmp_path / "error.txt"))
    first, *others = told.splitlines()
    assert first.startswith("... line ")
    assert (others[-1], len(told) <= 4004) == ("line 499 of what was said", True)


def test_worker_that_died_without_a_word_is_told_so():
    nothing = SimpleNamespace(error_file=None, pickled_error_file=None)
    assert "died without a word" in tell_failure(nothing)
    assert read_failure(nothing) is None


@pytest.mark.parametrize(
    ("error", "node"),
    [
        (None, None),
        (ClusterError("no Ray error"), None),
        (RayActorError(error_msg="Its node (ID: aa11) could not prepare it: no space"), "aa11"),
        (
            RayActorError(error_msg="killed due to the node running low on memory (IP: 10.0.0.2, ID: bb22) was 9GB"),
            "bb22",
        ),
        (RayActorError(error_msg="the actor died unexpectedly"), None),
    ],
)
def test_node_of_a_worker_that_died_before_its_trial_is_found_in_rays_words(error, node):
    assert find_failed_node(error) == node


def test_node_is_to_blame_where_it_could_not_prepare_a_worker_or_had_no_memory_before_the_trial():
    unprepared = RayActorError(error_msg="Its node (ID: aa11) could not prepare it: no space")
    full = RayActorError(error_msg="killed due to the node running low on memory (IP: 10.0.0.2, ID: bb22) was 9GB")
    assert is_of_node(unprepared, True, "")
    assert is_of_node(full, False, "") and not is_of_node(full, True, "")
    assert not is_of_node(RayActorError(error_msg="the actor died unexpectedly"), False, "")
