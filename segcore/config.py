"""`TrainConfig`: every hyperparameter and setting of a training, and the only place of its defaults.

A field's name is also its name in an Optuna space and as an MLflow parameter. What a machine has (device,
loader workers) is no choice of the search and lives in `machine.Machine`; the fold is an argument of a training.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from segcore.errors import ConfigError
from segcore.expressions import LOSS_NAMES, parse_backbone_options, parse_loss

DecoderName = Literal[
    "unet", "unetplusplus", "manet", "linknet", "fpn", "deeplabv3", "deeplabv3plus", "pspnet", "pan", "upernet",
    "segformer", "dpt",
]  # fmt: skip
ATTENTION_DECODERS: Final = ("unet", "unetplusplus")
POOLING_DECODERS: Final = ("deeplabv3", "deeplabv3plus", "pan", "upernet")
"""Decoders that normalise one value per image and channel, which needs two images at a time in training."""
POOLING_BACKBONES: Final = ("resnest", "rexnet", "skresne")
"""What the names of encoders that do so begin with."""

_BOUNDS: Final = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
STRIDE: Final = 32
"""Pixels of the image per pixel of the deepest feature level; the model pads to a multiple of it."""


def _check_loss(text: str) -> str:
    parse_loss(text)
    return text


def _check_backbone_options(text: str) -> str:
    parse_backbone_options(text)
    return text


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class TrainConfig:
    """One configuration of a training: flat, immutable, validated once.

    Build it with `TrainConfig.from_values`, which turns every mistake into a `ConfigError`.
    """

    backbone: Annotated[
        str, Field(min_length=1, description="encoder: a timm model, its weights after a dot, or mit_b0 to mit_b5")
    ] = "resnet34"
    backbone_options: Annotated[
        str,
        AfterValidator(_check_backbone_options),
        Field(description="arguments of timm's for the encoder, joined by commas, such as 'drop_path_rate=0.1'"),
    ] = ""
    weights: Annotated[
        str,
        Field(
            min_length=1,
            description="start: imagenet, none, or a file or model directory, whose decoder is taken too if alike",
        ),
    ] = "imagenet"
    decoder_channels: Annotated[
        int,
        Field(ge=16, le=1024, description="channels of the decoder's deepest block; halved at each level"),
    ] = 256
    decoder: Annotated[
        DecoderName,
        Field(description="architecture over the encoder; a plain transformer fits dpt alone"),
    ] = "unet"
    attention: Annotated[
        Literal["none", "se", "scse"], Field(description="attention in the blocks of unet and unetplusplus")
    ] = "none"
    labels: Annotated[
        Literal["full", "scored"],
        Field(description="learn every class, or the scored ones and one background"),
    ] = "full"
    input_mode: Annotated[
        Literal["crop", "resize", "full"], Field(description="what the network sees of a training image")
    ] = "full"
    crop_size: Annotated[int, Field(ge=32, le=4096, description="crop mode: side of the square crop, pixels")] = 512
    crops_per_image: Annotated[
        int,
        Field(ge=0, le=1024, description="crop mode: crops per image and epoch; 0: as many as cover its area"),
    ] = 0
    scale: Annotated[
        float,
        Field(
            gt=0,
            le=2,
            description="resize mode: side of the input per side of the image; above 1 enlarges, which costs as much "
            "more and helps small images with thin things",
        ),
    ] = 0.5
    rare_crop_probability: Annotated[
        float, Field(ge=0, le=1, description="crop mode: share of crops placed on a scored class, rare ones first")
    ] = 0.0
    augmentation: Annotated[
        Literal["none", "flip", "light", "strong"],
        Field(description="random changes of training samples; light and strong add colour, geometry and weather"),
    ] = "flip"
    augmentation_on: Annotated[
        Literal["loader", "device"],
        Field(
            description="light and strong: image by image in the loader (albumentations), or batch by batch as tensors "
            "where the network is, without rain, shadows, perspective and compression; scale is left to scale_jitter"
        ),
    ] = "loader"
    scale_jitter: Annotated[
        float,
        Field(
            ge=1,
            le=4,
            description="each sample is scaled by 1 / this to this, evenly, before it is cut out; 1: none; light and "
            "strong do not scale on top of it",
        ),
    ] = 1.0
    max_class_share: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="crop mode: crops in which one class has a larger share of the pixels are drawn anew, ten "
            "times at most; void is not counted",
        ),
    ] = 1.0
    class_mix_probability: Annotated[
        float, Field(ge=0, le=1, description="share of samples over which half of the classes of another are laid")
    ] = 0.0
    copy_paste_probability: Annotated[
        float,
        Field(
            ge=0, le=1, description="share of samples that get objects of scored classes of another image, rare first"
        ),
    ] = 0.0
    loss: Annotated[
        str,
        AfterValidator(_check_loss),
        Field(min_length=1, description=f"weighted sum of {', '.join(LOSS_NAMES)}, such as 'ce+0.5*jaccard'"),
    ] = "ce"
    class_weights: Annotated[
        Literal["none", "balanced"],
        Field(description="weights of pixels in ce, bce and focal; balanced: rare classes weigh more"),
    ] = "none"
    focal_gamma: Annotated[float, Field(ge=0, le=10, description="focusing exponent of the focal loss")] = 2.0
    label_smoothing: Annotated[
        float, Field(ge=0, lt=1, description="ce and bce: share of the truth that is spread over all classes")
    ] = 0.0
    ohem_share: Annotated[
        float,
        Field(gt=0, le=1, description="ce, bce and focal: learn the hardest pixels alone, at least this share; 1: all"),
    ] = 1.0
    ohem_probability: Annotated[
        float,
        Field(ge=0, lt=1, description="with ohem_share below 1: pixels whose truth is less probable are learnt too"),
    ] = 0.7
    auxiliary_weight: Annotated[
        float,
        Field(
            ge=0,
            le=10,
            description="loss of a second head, on the encoder's features at a sixteenth, which only training has; "
            "0: none",
        ),
    ] = 0.0
    optimizer: Annotated[Literal["adam", "adamw", "sgd"], Field(description="SGD has momentum 0.9")] = "adamw"
    learning_rate: Annotated[float, Field(gt=0, le=10, description="peak rate of the optimizer")] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, le=1, description="decay of weights in the optimizer")] = 1e-4
    decay_on: Annotated[
        Literal["all", "kernels"],
        Field(description="what decays: all weights, or all but norms, biases and a transformer's places"),
    ] = "all"
    encoder_rate_factor: Annotated[
        float, Field(gt=0, le=1, description="rate of the encoder per rate of the decoder")
    ] = 1.0
    encoder_layer_decay: Annotated[
        float,
        Field(gt=0, le=1, description="rate of each layer of the encoder per rate of the layer above it; 1: all alike"),
    ] = 1.0
    freeze: Annotated[
        Literal["none", "encoder", "batchnorm"],
        Field(
            description="keep the encoder's weights, so that its rates mean nothing, or only the statistics of its "
            "batch normalisation"
        ),
    ] = "none"
    gradient_clip: Annotated[
        float, Field(ge=0, description="largest norm of the gradient of all weights; 0: no limit")
    ] = 0.0
    ema_decay: Annotated[
        float,
        Field(ge=0, lt=1, description="validate and keep a running mean of the weights; 0: the weights themselves"),
    ] = 0.0
    rate_schedule: Annotated[
        Literal["constant", "plateau", "onecycle", "cosine", "poly", "cyclic"],
        Field(
            description="course of the rate; cosine and poly start with a warm-up of 5 % of the steps; cyclic keeps "
            "the weights at the end of each cycle as a member of the model"
        ),
    ] = "onecycle"
    cycles: Annotated[
        int, Field(ge=1, le=100, description="cyclic: how often the rate falls from its peak to 0, in whole epochs")
    ] = 3
    plateau_patience_epochs: Annotated[
        int, Field(ge=1, description="plateau: epochs without a lower training loss before the rate falls")
    ] = 2
    plateau_factor: Annotated[float, Field(gt=0, lt=1, description="plateau: what the rate is multiplied by")] = 0.3
    batch_size: Annotated[
        Annotated[int, Field(ge=1, le=4096)] | Literal["auto"],
        Field(description="samples of a batch; auto: the most that the GPU holds, up to 64; on a CPU 8"),
    ] = 8
    accumulation_steps: Annotated[
        int, Field(ge=1, le=1024, description="batches whose gradients make one optimizer step")
    ] = 1
    epochs: Annotated[int, Field(ge=1, le=100_000, description="passes over the training images, at most")] = 27
    patience_epochs: Annotated[
        int, Field(ge=0, description="stop after so many epochs without a better score, see --objective; 0: never")
    ] = 0
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        Field(description="auto: bf16 on a GPU that has it, else fp32; fp16 scales its loss, and is fp32 on a CPU"),
    ] = "auto"
    head_precision: Annotated[
        Literal["auto", "fp32"],
        Field(description="precision of the network's last layer; auto: as the rest"),
    ] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31, description="seed of initial weights, order and augmentation")] = 0

    def __post_init__(self) -> None:
        if self.batch_size == 1 and self.smallest_batch > 1:
            raise ConfigError(
                f"batch_size=1 with backbone={self.backbone}, decoder={self.decoder}, input_mode={self.input_mode}, "
                f"crop_size={self.crop_size} leaves one value per channel, which batch normalisation cannot take; use "
                "a larger batch_size, or a larger crop_size with another backbone or decoder."
            )
        if self.rate_schedule == "cyclic" and self.cycles > self.epochs:
            raise ConfigError(
                f"cycles={self.cycles} do not fit into epochs={self.epochs}; use cycles={self.epochs} or fewer."
            )
        if self.attention != "none" and self.decoder not in ATTENTION_DECODERS:
            raise ConfigError(
                f"attention={self.attention!r} has no place in decoder={self.decoder!r}; "
                f"use attention=none, or one of the decoders {', '.join(ATTENTION_DECODERS)}."
            )

    @classmethod
    def from_values(cls, values: Mapping[str, object]) -> Self:
        """Build a configuration from names and values.

        Args:
            values: field names and values; fields left out take their defaults.

        Raises:
            ConfigError: naming each unknown field with its nearest field names and each value out of range.
        """
        refuse_unknown_fields(values)
        if flags := [f"{name}={value}" for name, value in values.items() if isinstance(value, bool)]:
            # They would pass for 1 and 0.
            raise ConfigError(f"{', '.join(flags)}: no choice is true or false; give a number or a word.")
        try:
            return cls(**values)  # type: ignore[arg-type]
        except ValidationError as error:
            raise ConfigError(_describe(error)) from None

    @classmethod
    def from_assignments(cls, assignments: tuple[str, ...]) -> Self:
        """Build a configuration from `name=value` texts, as given on a command line."""
        return cls.from_values(parse_assignments(assignments))

    @property
    def smallest_batch(self) -> int:
        """Samples that the network needs at a time in training, 1 or 2."""
        one_pixel_left = self.input_mode == "crop" and self.crop_size <= STRIDE
        # Frozen statistics are no statistics of the batch.
        encoder_pools = self.freeze == "none" and self.backbone.startswith(POOLING_BACKBONES)
        return 2 if one_pixel_left or encoder_pools or self.decoder in POOLING_DECODERS else 1

    def values(self) -> dict[str, Any]:
        """Return every field by name; `from_values` takes it back."""
        return dataclasses.asdict(self)


FIELD_NAMES: Final = tuple(field.name for field in dataclasses.fields(TrainConfig))


def describe_fields() -> list[tuple[str, str, str, str]]:
    """Return name, default, allowed values and meaning of every field, for a person."""
    rows = []
    for name, field in typing.cast(Any, TrainConfig).__pydantic_fields__.items():
        allowed = _describe_allowed(field.annotation, field.metadata)
        rows.append((name, str(field.default), allowed, field.description or ""))
    return rows


def refuse_unknown_fields(names: Mapping[str, object]) -> None:
    """Raise `ConfigError` when a name is no field of `TrainConfig`, with the nearest field names."""
    unknown = [name for name in names if name not in FIELD_NAMES]
    if unknown:
        raise ConfigError("\n".join(_describe_unknown(name) for name in unknown))


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, object]:
    """Split `name=value` texts; values stay texts, which `from_values` converts.

    Raises:
        ConfigError: for a text without '=', or a name given twice.
    """
    values: dict[str, object] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"{assignment!r} is no assignment; write NAME=VALUE, such as backbone=resnet18.")
        if name in values:
            raise ConfigError(f"{name} is given twice; keep one.")
        values[name] = value
    refuse_unknown_fields(values)
    return {name: _convert(name, value) for name, value in values.items()}


def make_paths_whole(values: Mapping[str, object]) -> dict[str, object]:
    """Return values that mean the same in any folder: a weights file by its whole path.

    Args:
        values: field names and values, valid or not.
    """
    weights = values.get("weights")
    if not isinstance(weights, str) or weights in ("imagenet", "none"):
        return dict(values)
    try:
        return {**values, "weights": str(Path.cwd() / Path(weights).expanduser())}
    except RuntimeError:
        # In the home of a user who is not there: whoever looks for the file tells that there is none.
        return dict(values)


def decoder_widths(decoder_channels: int) -> tuple[int, ...]:
    """Channels of the five decoder blocks from deep to shallow, halved at each level, at least 16."""
    return tuple(max(16, decoder_channels >> level) for level in range(5))


def _convert(name: str, value: object) -> object:
    annotation = TrainConfig.__annotations__[name]
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        raise ConfigError(_describe(error, name)) from None


def _describe_allowed(annotation: Any, rules: Iterable[Any]) -> str:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return ", or ".join(_describe_allowed(part, ()) for part in typing.get_args(annotation))
    if typing.get_origin(annotation) is Annotated:
        annotation, *rules = typing.get_args(annotation)
        rules = [bound for rule in rules for bound in rule.metadata]
    choices = typing.get_args(annotation)
    bounds = [f"{word} {getattr(rule, key)}" for rule in rules for key, word in _BOUNDS if hasattr(rule, key)]
    return ", ".join(str(choice) for choice in choices) or " and ".join(bounds)


def _describe_unknown(name: object) -> str:
    # A file or a space may name anything.
    short = [field for field in FIELD_NAMES if "".join(word[0] for word in field.split("_")) == str(name).lower()]
    near = short or difflib.get_close_matches(str(name), FIELD_NAMES, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else "'python -m segcore fields' lists them."
    return f"{name!r:.100} is no field of TrainConfig; {hint}"


def _describe(error: ValidationError, name: str = "") -> str:
    # A field of several types has one problem for each.
    rules: dict[str, list[str]] = {}
    for problem in error.errors():
        value = f"{name or problem['loc'][0]}={problem['input']!r:.200}"
        rules.setdefault(value, []).append(problem["msg"][0].lower() + problem["msg"][1:])
    return "\n".join(f"{value}: {', or '.join(texts)}." for value, texts in rules.items())
