import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segcore.prediction.tiling import TILE_BATCH, Tiling, blend_tiles, tile_starts, tile_weights


@pytest.mark.parametrize(
    ("length", "size", "stride", "starts"),
    [
        (10, 4, 4, (0, 4, 6)),  # the last tile is shifted inside
        (10, 4, 2, (0, 2, 4, 6)),
        (12, 4, 4, (0, 4, 8)),  # fits exactly: no tile twice
        (4, 4, 4, (0,)),
        (3, 4, 4, (0,)),  # smaller than a tile
        (5, 4, 1, (0, 1)),
    ],
)
def test_tile_starts_by_hand(length, size, stride, starts):
    assert tile_starts(length, size, stride) == starts


@given(st.integers(1, 300), st.integers(1, 100).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size))))
def test_tiles_cover_every_pixel_and_stay_inside(length, size_and_stride):
    size, stride = size_and_stride
    starts = tile_starts(length, size, stride)
    covered = set()
    for start in starts:
        covered |= set(range(start, start + min(size, length)))
    assert covered == set(range(length))
    assert len(set(starts)) == len(starts)


def test_gaussian_weights_by_hand():
    # Sigma 16 / 8 = 2; the middle lies between pixels 7 and 8; pixel 3 is 4.5 from it: exp(-(4.5 / 2)^2 / 2).
    weights_w = tile_weights(16, gaussian=True)
    assert weights_w[3].item() == pytest.approx(0.07956, abs=1e-5)
    assert weights_w[7].item() == pytest.approx(0.96923, abs=1e-5)  # exp(-(0.5 / 2)^2 / 2)
    assert weights_w[0].item() == pytest.approx(1e-3)  # the floor; exp(-(7.5 / 2)^2 / 2) is 0.00088


@given(st.integers(1, 2000))
def test_gaussian_weights_are_symmetric_and_never_near_zero(length):
    weights_w = tile_weights(length, gaussian=True)
    assert weights_w.dtype == torch.float32
    assert torch.equal(weights_w, weights_w.flip(0))
    assert 1e-3 * (1 - 1e-6) <= weights_w.min() <= weights_w.max() <= 1


def test_side_by_side_tiles_weigh_every_pixel_alike():
    assert torch.equal(tile_weights(5, gaussian=False), torch.ones(5))


def answer_in_turn(*answers):
    """Return what gives every pixel of each tile the next answer."""
    left = iter(answers)

    def classify(pixels_NHW3):
        return torch.stack([torch.full((1, *tile.shape[:2]), next(left)) for tile in pixels_NHW3])

    return classify


def test_overlapping_tiles_are_averaged_by_their_weights():
    """Three columns, tiles of two: the middle one is seen by both tiles, which answer 0 and 1."""
    image_HW3 = torch.zeros(1, 3, 3, dtype=torch.uint8)
    blended_CHW = blend_tiles(image_HW3, Tiling(size=2, stride=1, gaussian=False), answer_in_turn(0.0, 1.0))
    assert blended_CHW.tolist() == [[[0.0, 0.5, 1.0]]]


def test_middle_of_a_tile_outweighs_the_border_of_another():
    image_HW3 = torch.zeros(1, 24, 3, dtype=torch.uint8)
    blended_CHW = blend_tiles(image_HW3, Tiling(size=16, stride=8, gaussian=True), answer_in_turn(0.0, 1.0))
    # Pixel 10 is number 10 of the first tile (2.5 from its middle) and number 2 of the second (5.5 from its middle).
    first, second = 0.45783, 0.02279  # exp(-(2.5 / 2)^2 / 2), exp(-(5.5 / 2)^2 / 2)
    assert blended_CHW[0, 0, 10].item() == pytest.approx(second / (first + second), abs=1e-4)
    assert blended_CHW[0, 0, 0] == 0
    assert blended_CHW[0, 0, 23] == 1


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("size", [4, 7, 40])
def test_tiles_of_what_depends_on_single_pixels_blend_into_the_same(gaussian, size):
    image_HW3 = torch.randint(0, 256, (17, 30, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    def classify(pixels_NHW3):
        return pixels_NHW3.float().permute(0, 3, 1, 2).softmax(dim=1)

    blended_CHW = blend_tiles(image_HW3, Tiling(size=size, stride=max(1, size // 2), gaussian=gaussian), classify)
    torch.testing.assert_close(blended_CHW, classify(image_HW3[None])[0], atol=1e-5, rtol=0)


def test_few_tiles_go_through_the_network_together():
    batches = []

    def classify(pixels_NHW3):
        batches.append(tuple(pixels_NHW3.shape))
        return torch.ones(len(pixels_NHW3), 1, *pixels_NHW3.shape[1:3])

    blend_tiles(torch.zeros(12, 20, 3, dtype=torch.uint8), Tiling(size=4, stride=4, gaussian=False), classify)
    assert [shape[1:] for shape in batches] == [(4, 4, 3)] * len(batches)
    assert sum(shape[0] for shape in batches) == 15
    assert max(shape[0] for shape in batches) == TILE_BATCH
