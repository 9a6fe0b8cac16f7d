"""The table of `docs/networks.md`: what it says of a few families, the networks themselves say."""

from pathlib import Path

import pytest

from segcore.commands.networks import describe_row
from segcore.networks.families import DECODERS, FAMILIES, try_families

TABLE = Path(__file__).parents[3] / "docs" / "networks.md"
TRIED = ("resnet18", "mit_b0", "vit_tiny_patch16_224")


@pytest.fixture(scope="module")
def networks():
    return {network.backbone: network for network in try_families(TRIED)}


def test_table_says_what_fits(networks):
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    for network in networks.values():
        assert describe_row(network) in lines, network.backbone


def test_table_has_a_row_for_each_family_and_a_column_for_each_decoder():
    rows = [line.split("|")[1:-1] for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in rows[0][3:]] == list(DECODERS)
    assert [(row[0].strip(), row[1].strip()) for row in rows[2:]] == list(FAMILIES.items())


def test_decoders_that_need_a_pyramid_or_dilation_fit_no_encoder_without(networks):
    fitting = {name: {key for key, count in network.parameters.items() if count} for name, network in networks.items()}
    assert fitting["resnet18"] == set(DECODERS)
    assert fitting["vit_tiny_patch16_224"] == {"dpt"}
    assert {"unet", "upernet", "segformer", "fpn"} < fitting["mit_b0"]
    assert not {"unetplusplus", "linknet", "dpt"} & fitting["mit_b0"]
