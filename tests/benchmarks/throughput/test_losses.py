from benchmarks.throughput.losses import draw_batch, measure_loss
from segcore.data.classes import VOID
from segcore.training.losses import build_loss


def test_cost_of_a_loss_counts_operations_and_bytes(make_config):
    batch = draw_batch(2, 16)
    assert batch[1].unique().tolist() == [*range(19), VOID]
    one = measure_loss(build_loss(make_config(loss="jaccard")), *batch)
    both = measure_loss(build_loss(make_config(loss="jaccard+bce")), *batch)
    # The probabilities of 19 classes, fp32, are the least that must be held.
    assert one.peak_mib >= 2 * 16 * 16 * 19 * 4 / 2**20
    assert both.operations > one.operations and both.allocated_mib > one.allocated_mib
