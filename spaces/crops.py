"""Crop sizes that fit the data; every space draws from them."""

import optuna

CROP_SIZES = (768, 512, 256, 128, 64)
"""Pixels, the largest first."""


def fitting_crop_sizes(trial: optuna.Trial, sizes: tuple[int, ...] = CROP_SIZES, count: int = 3) -> tuple[int, ...]:
    """Return the largest crop sizes that fit into the images of the data.

    Args:
        trial: its study knows the data, see `spaces`.
        sizes: pixels, the largest first.
        count: so many at most.
    """
    smallest_side = trial.study.user_attrs.get("smallest_side", sizes[0])
    return tuple(size for size in sizes if size <= smallest_side)[:count] or (smallest_side,)
