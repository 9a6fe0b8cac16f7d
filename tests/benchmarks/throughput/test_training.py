"""The pure parts: both sides see the same masks and train networks of the same size."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.throughput.modes import parse_mode
from benchmarks.throughput.plain_data import FileStreets, build_colour_table, read_indices, read_one_hot, read_rgb
from benchmarks.throughput.plain_training import build_transform, build_unet
from benchmarks.throughput.training import count_flops
from segcore.config import TrainConfig
from segcore.data.classes import VOID
from segcore.data.dataset import decode_case, read_dataset
from segcore.networks.model import build_architecture


def test_plain_masks_are_those_of_segcore(dataset_folder: Path):
    dataset = read_dataset(dataset_folder)
    table = build_colour_table(dataset.classes)
    for case in dataset.cases[:3]:
        mask_HW = decode_case(case).mask_HW
        assert (mask_HW == VOID).any()
        assert np.array_equal(read_indices(case.mask, table), mask_HW)


def test_one_hot_masks_are_those_of_segcore_and_void_is_in_none(dataset_folder: Path):
    dataset = read_dataset(dataset_folder)
    case = dataset.cases[0]
    mask_HW = decode_case(case).mask_HW
    one_hot_HWC = read_one_hot(case.mask, dataset.classes)
    assert np.array_equal(one_hot_HWC.sum(axis=-1), mask_HW != VOID)
    assert np.array_equal(one_hot_HWC.argmax(axis=-1)[mask_HW != VOID], mask_HW[mask_HW != VOID])


def test_plain_images_are_those_of_segcore(dataset_folder: Path):
    dataset = read_dataset(dataset_folder)
    case = dataset.cases[0]
    # Two decoders of JPEG may differ by rounding.
    difference = read_rgb(case.image).astype(int) - decode_case(case).image_HW3
    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize(
    ("mode", "height", "width"),
    [("crop:32", 32, 32), ("resize:0.5", 32, 64), ("full", 64, 96)],
)
def test_plain_samples_have_the_size_of_the_mode_padded_to_the_stride(
    mode: str, height: int, width: int, dataset_folder: Path
):
    dataset = read_dataset(dataset_folder)
    transform = build_transform(TrainConfig.from_values(parse_mode(mode)), fill_mask=VOID)
    read_mask = partial(read_indices, index_of_colour=build_colour_table(dataset.classes))
    image_3HW, target_HW = FileStreets(dataset.cases, read_mask, transform, torch.int64)[0]
    assert image_3HW.shape == (3, height, width)
    assert image_3HW.dtype == torch.float32
    assert target_HW.shape == (height, width)
    assert set(target_HW.unique().tolist()) <= {0, 1, 2, 3, VOID}


def test_networks_of_the_arms_have_the_same_parameters(make_config: Callable[..., TrainConfig]):
    config = make_config()

    def count(network: nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    ours = count(build_architecture(config, 5))
    assert count(build_unet(config, 5, decoder_norm=True)) == ours
    # Without normalisation a scale and a shift are missing and a bias is there: one less for each of 5 x 2 x 16.
    assert count(build_unet(config, 5, decoder_norm=False)) == ours - 160


def test_modes_are_read_and_others_refused():
    assert parse_mode("crop:256") == {"input_mode": "crop", "crop_size": 256, "crops_per_image": 1}
    assert parse_mode("resize:0.5") == {"input_mode": "resize", "scale": 0.5}
    assert parse_mode("full") == {"input_mode": "full"}
    for text in ("crop", "crop:big", "tiles"):
        with pytest.raises(argparse.ArgumentTypeError, match="write crop:PIXELS"):
            parse_mode(text)


def test_work_grows_with_the_area(make_config: Callable[..., TrainConfig]):
    small, large = (count_flops(make_config(backbone="tf_efficientnet_lite0"), 4, side, side) for side in (64, 128))
    assert large == pytest.approx(4 * small)
