"""Networks whose answers are known, and ways of predicting whose figures are."""

import numpy as np
import pytest
import torch
from torch import nn

from segcore.networks.model import build_architecture
from segcore.prediction.ensemble_files import save_ensemble, save_members
from segcore.prediction.member_files import MemberWeights
from segcore.prediction.options import PredictOptions
from segcore.prediction.tune_ways import Measured


def measured(milliseconds, score, *, members=1, image_scores=(0.5,), **options):
    """Return a way of predicting as if it had been measured; further arguments are its options."""
    return Measured(
        options=PredictOptions(**options),
        members=members,
        score=score,
        image_scores={str(number): value for number, value in enumerate(image_scores) if value is not None},
        metrics={"iou": score, "miou": score / 2},
        milliseconds=milliseconds,
    )


class NearestColour(nn.Module):
    """A network that knows the answer: its logits fall with the distance to each output's colours.

    `colours_of_output[i]` are the RGB colours that output i stands for.
    """

    def __init__(self, colours_of_output):
        super().__init__()
        self.colours_of_output = colours_of_output
        self.sizes = []

    def forward(self, images_NHW3):
        self.sizes.append(tuple(images_NHW3.shape[:3]))
        logits = []
        for colours in self.colours_of_output:
            distances = [(images_NHW3.float() - torch.tensor(colour)).norm(dim=-1) for colour in colours]
            logits.append(-torch.stack(distances).amin(dim=0))
        return torch.stack(logits, dim=1)


@pytest.fixture
def knowing(classes):
    return NearestColour([[colour] for colour in classes.colours]).eval()


@pytest.fixture(scope="module")
def model(make_config):
    torch.manual_seed(0)
    return build_architecture(make_config(), 4).eval()


@pytest.fixture(scope="module")
def config(make_config):
    return make_config(input_mode="crop", crop_size=64)


@pytest.fixture(scope="module")
def members(config):
    networks = []
    for seed in range(3):
        torch.manual_seed(seed)
        networks.append(build_architecture(config, 4).eval())
    return networks


@pytest.fixture
def folder(tmp_path, members, config, classes):
    states = (member.state_dict() for member in members)
    save_ensemble(tmp_path / "model", states, config=config, classes=classes, notes={})
    return tmp_path / "model"


@pytest.fixture
def image_HW3(cache):
    return np.array(cache.image_HW3(0))


@pytest.fixture
def mixed(tmp_path, members, config, make_config, classes):
    """A model of two networks that see whole images, of which one counts three times, and one that sees small ones."""
    parts = zip(members, (config, config, make_config(input_mode="resize", scale=0.5)), (1, 3, 2), strict=True)
    written = (MemberWeights(tensors=part.state_dict(), config=each, weight=weight) for part, each, weight in parts)
    save_members(tmp_path / "mixed", written, classes=classes, notes={})
    return tmp_path / "mixed"
