import pytest
import timm
import torch

from segcore.errors import ConfigError, WeightsError
from segcore.training.feasible import Feasibility


def test_crop_that_no_image_holds_is_refused(make_config):
    with pytest.raises(ConfigError, match="crop_size=64"):
        Feasibility(48).require(make_config(input_mode="crop", crop_size=64))


def test_weights_file_of_another_backbone_is_refused_before_anything_is_trained(make_config, tmp_path):
    file = tmp_path / "w.pth"
    torch.save(timm.create_model("test_efficientnet").state_dict(), file)
    feasibility = Feasibility(48)
    feasibility.require(make_config(backbone="test_efficientnet", weights=str(file)))
    with pytest.raises(WeightsError, match=r"w\.pth' lack \d+ tensors of backbone='test_convnext'"):
        feasibility.require(make_config(backbone="test_convnext", weights=str(file)))
