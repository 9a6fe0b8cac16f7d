import pytest

from segcore.config import TrainConfig
from segcore.machine import Machine
from segcore.prediction.latency import measure_latency_ms, measure_memory_gib
from segcore.training.state import new_state

SMALL = {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16}


@pytest.mark.parametrize(
    ("values", "height", "width"),
    [({"input_mode": "full"}, 64, 96), ({"input_mode": "crop", "crop_size": 32}, 64, 96),
     ({"input_mode": "resize", "scale": 0.5}, 32, 48)],
)  # fmt: skip
def test_the_network_sees_one_whole_image_as_in_validation(values, height, width):
    config, machine = TrainConfig.from_values({**SMALL, **values}), Machine()
    model = new_state(config, 3, machine).model.train()
    shapes, modes = [], []
    model.register_forward_pre_hook(lambda module, inputs: shapes.append(tuple(inputs[0].shape)))
    model.register_forward_pre_hook(lambda module, inputs: modes.append(module.training))
    latency_ms = measure_latency_ms(model, 64, 96, config, machine)
    assert latency_ms > 0
    assert set(shapes) == {(1, height, width, 3)}
    assert len(shapes) == 12, "three to warm up, nine to measure"
    assert not any(modes)


def test_memory_is_that_of_a_gpu():
    config, machine = TrainConfig.from_values(SMALL), Machine()
    assert measure_memory_gib(new_state(config, 3, machine).model, 32, 32, config, machine) == 0
