from collections.abc import Iterator

import pytest
import ray
from ray._private import worker

from search.run.quiet import without_reports
from tests.nursery import spare_rays


@pytest.fixture
def unreported(monkeypatch) -> Iterator[None]:
    """A small Ray of this test, connected to with nothing to be reported."""
    spare_rays(monkeypatch)
    with without_reports():
        ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("unreported")
def test_a_driver_does_not_listen_to_what_ray_would_print_of_lost_nodes():
    listener = worker.global_worker.listener_thread
    listener.join(timeout=600)
    assert not listener.is_alive()


def test_whoever_connects_later_listens_again():
    before = worker.listen_error_messages
    with without_reports():
        assert worker.listen_error_messages is not before
    assert worker.listen_error_messages is before
