import contextlib
import gc
import threading
import weakref

import pytest

from search.run.training_thread import run_in_training_thread


class _Network:
    pass


def test_trials_that_ray_starts_in_threads_of_their_own_are_trained_in_one_that_is_none_of_these():
    seen = []

    def start_trial():
        run_in_training_thread(lambda: seen.append(threading.current_thread()))

    starters = [threading.Thread(target=start_trial) for _ in range(3)]
    for starter in starters:
        starter.start()
        starter.join()
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert seen[0] not in starters
    assert seen[0].daemon


@pytest.mark.parametrize("error", [ValueError("torn"), SystemExit(0)], ids=["failure", "end"])
def test_what_ends_a_trial_reaches_who_started_it_and_the_next_trial_runs(error):
    def fail():
        raise error

    with pytest.raises(type(error)) as raised:
        run_in_training_thread(fail)
    assert raised.value is error
    seen = []
    run_in_training_thread(lambda: seen.append("next"))
    assert seen == ["next"]


def test_a_network_whose_training_failed_is_gone_without_the_garbage_collector():
    kept = []

    def fail():
        network = _Network()
        kept.append(weakref.ref(network))
        raise ValueError("out of memory")

    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            run_in_training_thread(fail)
        run_in_training_thread(lambda: None)
        assert kept[0]() is None
    finally:
        gc.enable()


def test_nothing_of_a_trial_is_kept_until_the_next_one():
    network = _Network()
    kept = weakref.ref(network)

    def train(network):
        assert network is not None

    run_in_training_thread(lambda network=network: train(network))
    del network
    # The thread lets go of a trial after who started it goes on: a second one is behind that.
    run_in_training_thread(lambda: None)
    gc.collect()
    assert kept() is None
