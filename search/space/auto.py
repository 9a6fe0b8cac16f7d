"""A space made for a data set, as nnU-Net plans a training from its fingerprint; written as a file that a person edits.

Each rule is one function: crops of which a batch of four fits the device, batches as large as fit beside a crop,
networks by the device and by how many images there are, help for rare classes where there are some. (Isensee et
al. 2021, https://doi.org/10.1038/s41592-020-01008-z.)
"""

from dataclasses import dataclass
from string import Template
from typing import Final

from spaces.crops import CROP_SIZES, LARGE_SIDE
from spaces.street_offline import BACKBONES as INSTALLED

_BYTES_PER_PIXEL: Final = 6000
"""What a training keeps of a pixel in bf16, about: of ConvNeXt-T or MiT-B2 under UPerNet."""
_OTHER_GIB: Final = 2.0
"""Weights, optimizer, and what the driver keeps."""
_CPU_GIB: Final = 4.0
"""Where there is no GPU, so that an epoch ends within a person's patience."""
_LEAST_BATCH: Final = 4
_MOST_BATCH: Final = 16
_STEPS: Final = 20_000
_EPOCHS: Final = (12, 27, 54, 108)
_FEW_IMAGES: Final = 300
_RARE_SHARE: Final = 0.01
_LARGE_SHARE: Final = 0.4
_SIZES: Final = (1024, *CROP_SIZES[:2], 384, *CROP_SIZES[2:])

_SMALL: Final = ("tf_efficientnet_lite0", "resnet18d", "mobilenetv4_conv_medium", "mit_b0")
_MEDIUM: Final = ("resnet50d", "convnextv2_tiny", "mit_b2", "pvt_v2_b2")
_LARGE: Final = ("convnext_small", "mit_b4", "vit_base_patch14_dinov2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What is known of a data set and of the device that shall learn it.

    Args:
        name: of the data, for a person.
        images: how many.
        usual_side: what the shorter sides of nearly all reach, pixels.
        median_size: height and width of an image in the middle, pixels.
        shares: of the labelled pixels, by class.
        scored: names of the classes that are scored.
        device_gib: memory of a GPU; 0: a CPU.
        lacking: networks whose ImageNet weights cannot be had.
    """

    name: str
    images: int
    usual_side: int
    median_size: tuple[int, int]
    shares: dict[str, float]
    scored: tuple[str, ...]
    device_gib: float
    lacking: tuple[str, ...] = ()

    @property
    def rare(self) -> tuple[str, ...]:
        """Scored classes with less than a hundredth of the pixels, of those that there are."""
        return tuple(name for name in self.scored if 0 < self.shares.get(name, 0.0) < _RARE_SHARE)

    @property
    def pixels_at_once(self) -> int:
        """Pixels of a batch that fit the device, by estimate."""
        free_gib = max(1.0, (self.device_gib or _CPU_GIB) - _OTHER_GIB)
        return int(free_gib * 2**30 / _BYTES_PER_PIXEL)


def choose_crops(found: Fingerprint) -> tuple[int, ...]:
    """Return the two largest crop sizes that the images hold and a batch of four fits the device with, pixels."""
    held = [size for size in _SIZES if size <= found.usual_side]
    fitting = [size for size in held if _LEAST_BATCH * size**2 <= found.pixels_at_once]
    return tuple(fitting[:2] or held[-1:] or [found.usual_side])


def choose_batch(crop_size: int, found: Fingerprint) -> int:
    """Return the largest power of two of crops, 2 to 16, that fits the device."""
    batch = _MOST_BATCH
    while batch > 2 and batch * crop_size**2 > found.pixels_at_once:
        batch //= 2
    return batch


def choose_scales(found: Fingerprint) -> tuple[float, ...]:
    """Return what images are resized by: small ones are enlarged where the device holds two enlarged ones."""
    small = found.usual_side < LARGE_SIDE
    return (0.75, 1.5) if small and 2 * 1.5**2 * _area(found) <= found.pixels_at_once else (0.5, 0.75)


def choose_backbones(found: Fingerprint) -> tuple[str, ...]:
    """Return encoders for the device and the images, in place of those that lack their weights what is installed."""
    wanted = list_backbones(found)
    had = tuple(backbone for backbone in wanted if backbone not in found.lacking)
    return had if had == wanted else tuple(dict.fromkeys((*INSTALLED, *had)))


def list_backbones(found: Fingerprint) -> tuple[str, ...]:
    """Return encoders: more and larger ones for more memory, and none so large for few images."""
    if found.device_gib < 8:
        return _SMALL
    if found.device_gib < 40 or found.images < _FEW_IMAGES:
        return (_SMALL[0], *_MEDIUM)
    return (*_MEDIUM, *_LARGE)


def choose_epochs(found: Fingerprint) -> int:
    """Return the epochs of a trial that come nearest to 20,000 steps, an epoch seeing each image's area once."""
    crop_size = choose_crops(found)[0]
    height, width = found.median_size
    crops = max(1, round(height * width / crop_size**2))
    steps = max(1, found.images * crops // choose_batch(crop_size, found))
    return min(_EPOCHS, key=lambda epochs: abs(epochs * steps - _STEPS))


def write_space(found: Fingerprint, module: str = "mine") -> str:
    """Return a space for a data set as the text of a Python file, with a function `auto`.

    Args:
        found: what is known of the data and the device.
        module: the file's name, without its ending.
    """
    crops = choose_crops(found)
    modes = ("crop", "resize", "full") if found.pixels_at_once >= 2 * _area(found) else ("crop",)
    scales = choose_scales(found)
    largest = max(found.shares.values(), default=0.0)
    lacking = f"Not drawn, for their ImageNet weights cannot be had here: {', '.join(found.lacking)}.\n"
    written = _FILE.safe_substitute(
        module=module,
        images=found.images,
        lacking=lacking if found.lacking else "",
        height=found.median_size[0],
        width=found.median_size[1],
        side=found.usual_side,
        device=f"a GPU of {found.device_gib:.0f} GiB" if found.device_gib else "a CPU",
        epochs=choose_epochs(found),
        backbones="".join(f"    {backbone!r},\n" for backbone in choose_backbones(found)),
        batches="{" + ", ".join(f"{size}: {choose_batch(size, found)}" for size in crops) + "}",
        whole_batch=max(1, min(4, found.pixels_at_once // round(_area(found) * max(1.0, *scales) ** 2))),
        modes=modes,
        scales=scales,
        weights=("none", "balanced") if found.rare else ("none",),
        rare_crops=(0.0, 0.5) if found.rare else (0.0,),
        largest_share=(1.0, 0.75) if largest > _LARGE_SHARE else (1.0,),
        augmentations=("light", "strong") if found.images < _FEW_IMAGES else ("flip", "light", "strong"),
    ).replace("'", '"')
    return Template(written).substitute(name=_tell(found.name), rare=_tell(", ".join(found.rare)) or "none")


def _tell(text: str) -> str:
    """Return a text as a docstring may hold it: a name in someone's data ends none, and so runs no code."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in escaped)


def _area(found: Fingerprint) -> int:
    return found.median_size[0] * found.median_size[1]


_FILE: Final = Template('''\
"""A space for $name: $images images of about $width x $height pixels, on $device.

Scored classes with less than a hundredth of the pixels: $rare.
${lacking}\
Change what you know better. It is launched from the folder of this file with --space $module:auto --epochs $epochs
"""

import optuna

BACKBONES = (
$backbones)

BATCH_SIZES = $batches
"""By crop size, pixels; the largest crop that nine of ten images hold is $side."""


def auto(trial: optuna.Trial) -> dict[str, object]:
    """Draw network, loss, input and rates."""
    backbone = trial.suggest_categorical("backbone", BACKBONES)
    constants: dict[str, object] = {"optimizer": "adamw", "rate_schedule": "poly", "gradient_clip": 1.0}
    if backbone.startswith("vit"):
        constants["decoder"] = "dpt"
    else:
        trial.suggest_categorical("decoder", ("upernet", "segformer", "unet"))
    trial.suggest_categorical("loss", ("ce", "ce+dice", "ce+jaccard", "ce+lovasz", "ce+boundary"))
    trial.suggest_categorical("ohem_share", (1.0, 0.25))
    trial.suggest_categorical("class_weights", $weights)
    trial.suggest_categorical("augmentation", $augmentations)
    high = 3e-3 if backbone.startswith(("resnet", "tf_efficientnet", "mobilenet")) else 1e-3
    trial.suggest_float("learning_rate", high / 30, high, log=True)
    trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True)
    mode = trial.suggest_categorical("input_mode", $modes)
    if mode == "resize":
        trial.suggest_categorical("scale", $scales)
    if mode != "crop":
        return {**constants, "batch_size": $whole_batch}
    crop_size = trial.suggest_categorical("crop_size", tuple(BATCH_SIZES))
    trial.suggest_categorical("scale_jitter", (1.0, 1.5, 2.0))
    trial.suggest_categorical("max_class_share", $largest_share)
    trial.suggest_categorical("rare_crop_probability", $rare_crops)
    return {**constants, "batch_size": BATCH_SIZES[crop_size]}
''')
