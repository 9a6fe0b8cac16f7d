"""Bytes and operations of eager work, worked out by hand."""

import torch

from benchmarks.throughput.gpu.cost import TrafficCounter


def test_traffic_is_what_operations_read_and_write_and_views_are_free():
    one, other = torch.ones(10), torch.ones(10)
    with TrafficCounter() as traffic:
        (one.view(2, 5) + other.view(2, 5)).mul_(2)
    # An addition: two read and one written of 40 bytes; in place: the tensor is argument and result.
    assert traffic.operations == 2
    assert traffic.bytes == 3 * 40 + 2 * 40
