"""What is compared: groups of choices, each over a base of its own; those for a CPU and those for a GPU.

Rows stand in the order in which they are worth having, all seeds of a choice together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

Values = Mapping[str, Any]

BASE: Final[Values] = {
    "backbone": "tf_efficientnet_lite0",
    "decoder_channels": 64,
    "input_mode": "resize",
    "scale": 0.4,
    "learning_rate": 3e-3,
    "batch_size": 8,
    "epochs": 4,
    "precision": "fp32",
}
"""What every training has that nothing is said of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Choices that are compared with one base.

    Args:
        base: what it changes of `BASE`.
        changes: what each choice changes of the base.
        seeds: each choice is trained with.
        base_seeds: the base is trained with.
    """

    base: Values
    changes: tuple[Values, ...]
    seeds: tuple[int, ...]
    base_seeds: tuple[int, ...]

    def choices(self) -> Iterator[tuple[Values, tuple[int, ...]]]:
        """Yield what is changed of the base, and the seeds: first nothing, then each choice."""
        yield {}, self.base_seeds
        for changes in self.changes:
            yield changes, self.seeds

    def trainings(self) -> Iterator[Values]:
        """Yield what each training changes of `BASE`."""
        for changes, seeds in self.choices():
            for seed in seeds:
                yield {**self.base, **changes, "seed": seed}

    def rebase(self, values: Values) -> "Group":
        """Return the group over another base."""
        return replace(self, base={**self.base, **values})


def describe(changes: Values) -> str:
    """Return values as a text."""
    return " ".join(f"{name}={value}" for name, value in changes.items()) or "base"


def _once(*changes: Values) -> Group:
    return Group(base={}, changes=changes, seeds=(0,), base_seeds=(0, 1, 2))


def _twice(base: Values, *changes: Values) -> Group:
    return Group(base=base, changes=changes, seeds=(0, 1), base_seeds=(0, 1))


_SMALL: Final = {"scale": 0.25, "epochs": 3}
"""A CPU computes fp16 ten times as slowly as fp32, so precisions are compared on smaller images."""
_CROPS: Final = {
    "decoder": "upernet",
    "class_weights": "balanced",
    "input_mode": "crop",
    "crop_size": 192,
    "crops_per_image": 1,
    "epochs": 2,
}
"""A quarter of an image's pixels in an epoch."""
_WHOLE: Final = {"decoder": "fpn", "class_weights": "balanced", "scale": 1.0, "batch_size": 4}
_BRIEF: Final = {"decoder": "upernet", "scale": 0.15, "epochs": 2}
"""For choices whose effect is looked for at two seeds, in little time."""

_JITTER: Final = {"scale_jitter": 2.0}
_LIGHT: Final = {"augmentation": "light"}
_STRONG: Final = {"augmentation": "strong"}
_ON_DEVICE: Final = {"augmentation_on": "device"}
_FEEDING: Final[tuple[Values, ...]] = (
    _JITTER,
    {"class_mix_probability": 0.5},
    {"copy_paste_probability": 0.5},
    _STRONG,
    {**_STRONG, **_JITTER},
    {**_STRONG, **_JITTER, **_ON_DEVICE},
)
_DECAY: Final = {"weight_decay": 0.05}
_DROP_PATH: Final = {"backbone_options": "drop_path_rate=0.1"}

CPU_GROUPS: Final[Mapping[str, Group]] = {
    "base and noise": _once(),
    "loss": _once(
        {"loss": "focal"},
        {"loss": "ce+jaccard"},
        {"loss": "jaccard"},
        {"loss": "bce"},
        {"loss": "ce+dice"},
        {"loss": "ce+lovasz"},
        {"class_weights": "balanced"},
    ),
    "augmentation": _once({"augmentation": "none"}, _LIGHT, _STRONG),
    "weights": _once({"weights": "none"}),
    "labels": _once({"labels": "scored"}),
    "attention": _once({"attention": "se"}, {"attention": "scse"}),
    "decoder": _once(
        {"decoder": "linknet"},
        {"decoder": "unetplusplus"},
        {"decoder": "fpn"},
        {"decoder": "deeplabv3plus"},
        {"decoder": "manet"},
        {"decoder": "upernet"},
    ),
    "input mode": _once(
        {"input_mode": "full"},
        {"input_mode": "crop", "crop_size": 192},
        {"input_mode": "crop", "crop_size": 192, "rare_crop_probability": 0.5},
    ),
    # At equal steps, and at the steps that cost as much as four enlarged epochs do.
    "enlarged": _twice(_WHOLE, {"scale": 1.5}, {"epochs": 9}, {"scale": 0.75}),
    "the best together": _once(
        {"decoder": "upernet", "class_weights": "balanced"},
        {"decoder": "upernet", "class_weights": "balanced", "input_mode": "crop", "crop_size": 192},
    ),
    "feeding of crops": _twice(_CROPS, *_FEEDING, {"max_class_share": 0.75}),
    "feeding of whole images": _twice(_BRIEF, *_FEEDING),
    "precision": Group(
        base=_SMALL, changes=({"precision": "bf16"}, {"precision": "fp16"}), seeds=(0,), base_seeds=(0, 1)
    ),
    "rate and weights": _once(
        {"rate_schedule": "cosine"},
        {"rate_schedule": "constant"},
        {"encoder_rate_factor": 0.1},
        {"ema_decay": 0.99},
        {"freeze": "encoder"},
    ),
    "learning": _twice(
        _BRIEF,
        {"ohem_share": 0.25},
        {"label_smoothing": 0.1},
        {"loss": "ce+boundary"},
        {"auxiliary_weight": 0.4},
        _DECAY,
        {**_DECAY, "decay_on": "kernels"},
        {"encoder_layer_decay": 0.9},
        _DROP_PATH,
    ),
    "backbone": _once({"backbone": "tf_efficientnet_lite1"}, {"backbone": "tf_efficientnet_lite2"}),
}

_ON_GPU: Final = {
    "decoder": "upernet",
    "input_mode": "crop",
    "crop_size": 192,
    "crops_per_image": 3,
    "batch_size": 16,
    "epochs": 3,
    "precision": "bf16",
}
"""Some 210 steps on CamVid, and few validations: calling its operations is what a step takes there, not its pixels."""


def _on_gpu(*changes: Values) -> Group:
    return Group(base=_ON_GPU, changes=changes, seeds=(0, 1), base_seeds=(0, 1, 2))


GPU_GROUPS: Final[Mapping[str, Group]] = {
    "learning on a GPU": _on_gpu(
        {"ohem_share": 0.25},
        {"ohem_share": 0.5},
        {"loss": "ce+boundary"},
        {"loss": "ce+0.5*boundary"},
        {"auxiliary_weight": 0.4},
        {"label_smoothing": 0.05},
        {"label_smoothing": 0.1},
        _DECAY,
        {**_DECAY, "decay_on": "kernels"},
        {"encoder_layer_decay": 0.9},
        _DROP_PATH,
        {"head_precision": "fp32"},
    ),
    "feeding on a GPU": _on_gpu(
        {"scale_jitter": 1.5},
        _JITTER,
        {"max_class_share": 0.75},
        {"class_mix_probability": 0.5},
        {"copy_paste_probability": 0.5},
        {**_LIGHT, **_ON_DEVICE},
        {**_STRONG, **_ON_DEVICE},
        {**_STRONG, **_JITTER, **_ON_DEVICE},
    ),
    "longer known on a GPU": _on_gpu(
        {"class_weights": "balanced"},
        {"rare_crop_probability": 0.5},
        {"ema_decay": 0.99},
        {"encoder_rate_factor": 0.1},
        {"encoder_rate_factor": 0.3},
        {"loss": "ce+lovasz"},
        {"loss": "ce+jaccard"},
        {"loss": "ce+dice"},
        {"backbone": "tf_efficientnet_lite2"},
        {"precision": "fp16"},
        {"precision": "fp32"},
        {"decoder": "unet"},
        {"loss": "lovasz"},
        {"loss": "jaccard"},
        {"loss": "dice"},
        _LIGHT,
        _STRONG,
    ),
}

GROUPS: Final[Mapping[str, Group]] = {**CPU_GROUPS, **GPU_GROUPS}
