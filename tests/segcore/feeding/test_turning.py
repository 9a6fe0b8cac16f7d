import pytest

from segcore.config import TrainConfig
from segcore.feeding.turning import count_room, scales_apart


@pytest.mark.parametrize(
    ("values", "room"),
    [
        # cos 10 + sin 10 = 0.98481 + 0.17365; 512 * 0.15846 / 2 = 40.6.
        ({"augmentation": "strong", "scale_jitter": 2}, 41),
        ({"augmentation": "strong", "augmentation_on": "device"}, 41),
        # cos 4 + sin 4 = 0.99756 + 0.06976; 512 * 0.06732 / 2 = 17.2.
        ({"augmentation": "light", "scale_jitter": 2}, 18),
        ({"augmentation": "strong"}, 0),
        ({"augmentation": "flip", "scale_jitter": 2, "augmentation_on": "device"}, 0),
        ({"augmentation": "strong", "scale_jitter": 2, "input_mode": "full"}, 0),
    ],
)
def test_room_holds_the_corners_of_a_turned_crop(values, room):
    assert count_room(TrainConfig.from_values({"input_mode": "crop", "crop_size": 512, **values})) == room


def test_scale_is_left_to_the_jitter_and_never_drawn_on_a_device():
    assert not scales_apart(TrainConfig(augmentation="strong"))
    assert scales_apart(TrainConfig(augmentation="strong", scale_jitter=1.5))
    assert scales_apart(TrainConfig(augmentation="light", augmentation_on="device"))
