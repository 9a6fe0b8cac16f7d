"""Crop sizes and scales that fit the data; every space draws from them."""

import optuna

CROP_SIZES = (768, 512, 256, 128, 64)
"""Pixels, the largest first."""
LARGE_SIDE = 512
"""Pixels; on images with a shorter side, thin things are a pixel or two wide."""


def fitting_crop_sizes(trial: optuna.Trial, sizes: tuple[int, ...] = CROP_SIZES, count: int = 3) -> tuple[int, ...]:
    """Return the largest crop sizes that fit into the images of the data.

    Args:
        trial: its study knows the data, see `spaces`.
        sizes: pixels, the largest first.
        count: so many at most.
    """
    smallest_side = trial.study.user_attrs.get("smallest_side", sizes[0])
    return tuple(size for size in sizes if size <= smallest_side)[:count] or (smallest_side,)


def fitting_scales(trial: optuna.Trial) -> tuple[float, ...]:
    """Return what images are resized by: large ones are made smaller, of small ones some are made larger instead.

    Args:
        trial: its study knows the data, see `spaces`.
    """
    smallest_side = trial.study.user_attrs.get("smallest_side", LARGE_SIDE)
    return (0.5, 0.75) if smallest_side >= LARGE_SIDE else (0.75, 1.5)
