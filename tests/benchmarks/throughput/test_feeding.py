import torch

from benchmarks.throughput.feeding import feed
from segcore.data.classes import VOID


def test_samples_are_counted_as_the_network_sees_them(cache, make_config):
    values = {"input_mode": "crop", "crop_size": 32, "augmentation": "strong"}
    loader, device = (
        feed(cache, make_config(**values, augmentation_on=place), 43, "cpu") for place in ("loader", "device")
    )
    for fed in (loader, device):
        # Whole batches of four, without the room around samples.
        assert [batch.images_NHW3.shape for batch in fed.batches] == [torch.Size((4, 32, 32, 3))] * 10
    assert loader.operations == 0 and device.operations > 50

    def void_share(fed):
        return torch.cat([batch.target_NHW for batch in fed.batches]).eq(VOID).float().mean()

    # A crop that is warped brings void in; of the images themselves 16 of 6,144 pixels are, and their edges are near.
    assert void_share(device) < void_share(loader) / 2
