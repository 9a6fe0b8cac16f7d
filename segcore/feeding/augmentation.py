"""Augmentation of strength light and strong: geometry, colour and street conditions, as albumentations pipelines.

Importing this module takes seconds, so `transforms.augment` does it only for these strengths. Library: Buslaev et
al., Albumentations: fast and flexible image augmentations, 2020.
"""

import os
import random as python_random
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from segcore.data.classes import PADDING_GREY, VOID
from segcore.feeding.turning import DEGREES, Strength

# Otherwise the import asks a server for the library's newest version and waits where there is no network.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A

Image = npt.NDArray[np.uint8]

_SUNLIGHT: Final = (255.0, 240.0, 205.0)
"""RGB of a low sun's light."""


def change(image_HW3: Image, mask_HW: Image, strength: Strength, random: np.random.Generator) -> tuple[Image, Image]:
    """Change a sample at random; the size stays and the mask only moves, with void where nothing was before.

    Args:
        image_HW3: RGB pixels.
        mask_HW: class indices of the same size; 255 is void.
        strength: light or strong.
        random: draws every choice; advanced.

    Returns:
        New arrays, the arguments stay as they are.
    """
    return _run(build_pipeline(strength), image_HW3, mask_HW, random)


def turn_and_change(
    image_HW3: Image, mask_HW: Image, strength: Strength, room: int, random: np.random.Generator
) -> tuple[Image, Image]:
    """Turn a sample at random, cut off the room around it and change it as `change` does; its scale stays.

    Args:
        image_HW3: RGB pixels.
        mask_HW: class indices of the same size; 255 is void.
        strength: light or strong.
        room: rows and columns on each side that are there for the turn alone.
        random: draws every choice; advanced.
    """
    turning, changing = build_turning(strength)
    image_HW3, mask_HW = _run(turning, image_HW3, mask_HW, random)
    inside = (slice(room, mask_HW.shape[0] - room), slice(room, mask_HW.shape[1] - room))
    return _run(changing, image_HW3[inside], mask_HW[inside], random)


def _run(pipeline: A.Compose, image_HW3: Image, mask_HW: Image, random: np.random.Generator) -> tuple[Image, Image]:
    # Not `set_random_seed`: it gives each transform an equal generator, so that all that have the same probability
    # happen together or not at all. One generator for all draws on and on.
    pipeline.set_random_state(random, python_random.Random(int(random.integers(2**63))))
    changed = pipeline(image=np.ascontiguousarray(image_HW3), mask=np.ascontiguousarray(mask_HW))
    return changed["image"], changed["mask"]


@lru_cache(maxsize=2)
def build_pipeline(strength: Strength) -> A.Compose:
    """Return the pipeline of a strength, the same object for every call in a process; not for several threads."""
    light = strength == "light"
    geometry = (
        [_affine(scale=(0.9, 1.15), degrees=DEGREES["light"], shift=0.04, p=0.5)]
        if light
        else [_affine(scale=(0.75, 1.5), degrees=DEGREES["strong"], shift=0.08, p=0.7), _perspective()]
    )
    return A.Compose([A.HorizontalFlip(p=0.5), *geometry, *(_light_colours() if light else _strong_colours())])


@lru_cache(maxsize=2)
def build_turning(strength: Strength) -> tuple[A.Compose, A.Compose]:
    """Return a strength's pipelines before and after the room around a sample is cut off; see `build_pipeline`.

    Nothing is shifted: a crop is at a random place anyway.
    """
    light = strength == "light"
    turn = _affine(scale=(1, 1), degrees=DEGREES[strength], shift=0, p=0.5 if light else 0.7)
    colours = _light_colours() if light else _strong_colours()
    return A.Compose([turn] if light else [turn, _perspective()]), A.Compose([A.HorizontalFlip(p=0.5), *colours])


def _light_colours() -> list[A.BasicTransform]:
    return [
        A.RandomBrightnessContrast(brightness_limit=0.15, contrast_limit=0.15, p=0.5),
        A.RandomGamma(gamma_limit=(85, 118), p=0.3),
        A.HueSaturationValue(hue_shift_limit=6, sat_shift_limit=15, val_shift_limit=0, p=0.3),
    ]


def _strong_colours() -> list[A.BasicTransform]:
    conditions = [_night(), _rain(), _shadow(), _Fog(p=1), _Glare(p=1)]
    return [
        A.RandomBrightnessContrast(brightness_limit=(-0.12, 0.25), contrast_limit=0.25, p=0.5),
        A.RandomGamma(gamma_limit=(70, 140), p=0.3),
        A.HueSaturationValue(hue_shift_limit=10, sat_shift_limit=35, val_shift_limit=0, p=0.4),
        A.OneOf(conditions, p=0.4),
        A.OneOf([A.GaussianBlur(sigma_limit=(0.4, 1.5), p=1), _motion_blur()], p=0.2),
        A.GaussNoise(std_range=(0.01, 0.05), per_channel=False, p=0.25),
        A.ImageCompression(quality_range=(35, 90), p=0.25),
    ]


def _perspective() -> A.Perspective:
    return A.Perspective(
        scale=(0.02, 0.07), mask_interpolation=cv2.INTER_NEAREST, fill=PADDING_GREY, fill_mask=VOID, p=0.3
    )


def _affine(*, scale: tuple[float, float], degrees: float, shift: float, p: float) -> A.Affine:
    return A.Affine(
        scale=scale,
        rotate=(-degrees, degrees),
        translate_percent=(-shift, shift),
        # A street is as often drawn larger as smaller, and its proportions stay.
        keep_ratio=True,
        balanced_scale=True,
        mask_interpolation=cv2.INTER_NEAREST,
        fill=PADDING_GREY,
        fill_mask=VOID,
        p=p,
    )


def _night() -> A.Sequential:
    # Gamma keeps lamps and signals bright while it darkens the rest.
    return A.Sequential(
        [
            A.RandomGamma(gamma_limit=(130, 200), p=1),
            A.ColorJitter(brightness=(0.55, 0.9), contrast=(0.8, 1), saturation=(0.4, 0.9), hue=(0, 0), p=1),
        ],
        p=1,
    )


def _rain() -> A.RandomRain:
    return A.RandomRain(drop_width=1, drop_color=(170, 170, 175), blur_value=3, brightness_coefficient=0.8, p=1)


def _motion_blur() -> A.MotionBlur:
    # As the library has it by default, it moves the image by some pixels too, but not the mask.
    return A.MotionBlur(blur_limit=(3, 7), allow_shifted=False, direction_range=(0, 0), p=1)


def _shadow() -> A.RandomShadow:
    # With more corners than three the polygon crosses itself and gets light holes.
    return A.RandomShadow(num_shadows_limit=(1, 1), shadow_dimension=3, shadow_intensity_range=(0.3, 0.6), p=1)


class _Fog(A.ImageOnlyTransform):  # type: ignore[misc] # the library has no types
    """Mix an image with airlight that thickens towards one edge. (Koschmieder, 1924.)

    The library's fog copies the image for each of its hundreds of particles: 31 ms per 256 x 256 pixels, this 1.2 ms.
    """

    def get_params(self) -> dict[str, object]:
        top, bottom = (self.py_random.uniform(0.15, 0.65) for _ in range(2))
        return {"top": top, "bottom": bottom, "airlight": self.py_random.uniform(165, 225)}

    def apply(self, image_HW3: Image, top: float, bottom: float, airlight: float, shape: tuple[int, ...]) -> Image:
        picture_HW3 = image_HW3.astype(np.float32)
        share_H11 = np.linspace(top, bottom, shape[0], dtype=np.float32)[:, None, None]
        return _to_bytes(picture_HW3 + share_H11 * (np.float32(airlight) - picture_HW3))


class _Glare(A.ImageOnlyTransform):  # type: ignore[misc] # the library has no types
    """Add the light of a low sun around a place in the upper half.

    The library's flare has a radius in pixels, whatever the size of the image; this one is a share of the size.
    """

    def get_params(self) -> dict[str, object]:
        place = {"across": self.py_random.uniform(0, 1), "down": self.py_random.uniform(0, 0.5)}
        return {**place, "radius": self.py_random.uniform(0.08, 0.25), "strength": self.py_random.uniform(0.3, 0.7)}

    def apply(
        self, image_HW3: Image, across: float, down: float, radius: float, strength: float, shape: tuple[int, ...]
    ) -> Image:
        sigma = radius * max(shape[:2])
        fall_H, fall_W = (
            np.exp(-0.5 * ((np.arange(side, dtype=np.float32) - place * side) / sigma) ** 2)
            for side, place in ((shape[0], down), (shape[1], across))
        )
        light_HW1 = np.float32(strength) * (fall_H[:, None] * fall_W)[..., None]
        return _to_bytes(image_HW3 + light_HW1 * np.array(_SUNLIGHT, np.float32))


def _to_bytes(image_HW3: npt.NDArray[np.float32]) -> Image:
    rounded_HW3: Image = np.clip(image_HW3 + 0.5, 0, 255).astype(np.uint8)
    return rounded_HW3
