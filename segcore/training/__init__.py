"""Training: the loop, its step, the state between epochs, losses, rates, and batches that fit a device.

Uses every room above: `data`, `networks`, `scoring`, `feeding` and `prediction`.
"""
