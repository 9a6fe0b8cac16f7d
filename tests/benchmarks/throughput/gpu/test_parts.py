"""Which kind an operation is of."""

import pytest

from benchmarks.throughput.gpu.parts import find_kind


@pytest.mark.parametrize(
    ("operation", "shapes", "kind"),
    [
        ("aten::cudnn_convolution", [[8, 32, 64, 64], [32, 1, 3, 3]], "depthwise convolutions"),
        ("aten::convolution_backward", [[8, 32, 32, 32], [8, 32, 64, 64], [32, 1, 5, 5]], "depthwise convolutions"),
        ("aten::cudnn_convolution", [[8, 32, 64, 64], [16, 32, 3, 3], []], "convolutions"),
        # Squeezed to one channel by one kernel, which looks at them all.
        ("aten::cudnn_convolution", [[8, 32, 64, 64], [1, 32, 3, 3]], "convolutions"),
        ("aten::cudnn_convolution", [[8, 32, 64, 64], [16, 32, 1, 1]], "convolutions of 1x1"),
        ("aten::cudnn_batch_norm", [[8, 32, 64, 64]], "normalisation"),
        ("aten::upsample_bilinear2d", [[8, 32, 64, 64]], "resizing"),
        ("aten::_fused_adamw_", [], "optimizer"),
        ("aten::_to_copy", [[8, 64, 64, 3]], "copies"),
        ("aten::clamp_min_", [[8, 32, 64, 64]], "element by element"),
    ],
)
def test_an_operation_is_of_one_kind(operation, shapes, kind):
    assert find_kind(operation, shapes) == kind
