from ray.tune.search import Searcher

from search.run.queue import TrialQueue


def make_queue(count: int, max_concurrent: int) -> TrialQueue:
    waiting = [{"trial": number} for number in range(count)]
    return TrialQueue(lambda: waiting.pop(0) if waiting else None, lambda: max_concurrent)


def test_queue_hands_out_no_more_trials_than_allowed_at_a_time():
    queue = make_queue(4, 2)
    assert [queue.suggest(name) for name in "abc"] == [{"trial": 0}, {"trial": 1}, None]
    queue.on_trial_complete("a")
    assert [queue.suggest(name) for name in "cd"] == [{"trial": 2}, None]
    queue.on_trial_complete("b", error=True)
    assert queue.suggest("d") == {"trial": 3}


def test_queue_asks_each_time_how_many_the_cluster_holds():
    """A node joins after the first trial; both leave after the third."""
    waiting, room = [{"trial": number} for number in range(4)], [1]
    queue = TrialQueue(lambda: waiting.pop(0), lambda: room[0])
    assert [queue.suggest(name) for name in "ab"] == [{"trial": 0}, None]
    room[0] = 3
    assert [queue.suggest(name) for name in "bcd"] == [{"trial": 1}, {"trial": 2}, None]
    room[0] = 0
    queue.on_trial_complete("a")
    assert queue.suggest("d") is None, "to be asked again later, for nodes may join"
    for name in "bc":
        queue.on_trial_complete(name)
    assert (queue.suggest("d"), queue.is_stranded) == (Searcher.FINISHED, True)


def test_queue_says_when_there_is_nothing_left():
    queue = make_queue(1, 2)
    # While a trial lives, its end may let another go on that waits.
    assert [queue.suggest("a"), queue.suggest("b")] == [{"trial": 0}, None]
    queue.on_trial_complete("a")
    assert queue.suggest("b") == Searcher.FINISHED
    assert not queue.is_stranded


def test_queue_asks_for_nothing_before_there_is_room():
    """A configuration drawn early would not know the scores that come in meanwhile."""
    asked: list[int] = []
    queue = TrialQueue(lambda: {"trial": asked.append(0)}, lambda: 1)
    queue.suggest("a")
    queue.suggest("b")
    assert len(asked) == 1
