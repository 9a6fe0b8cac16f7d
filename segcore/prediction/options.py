"""`PredictOptions`: how a finished network looks at an image; and the plan that they make for one training.

None of it changes a score of the search: trials are always measured with the defaults.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from segcore.config import STRIDE, TrainConfig
from segcore.errors import ConfigError
from segcore.networks.encoders import takes_one_size
from segcore.prediction.tiling import Tiling

MAX_SCALE: Final = 4.0
MAX_OVERLAP: Final = 0.9
_DEFAULT_TILE_SIZE: Final = 512
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PredictOptions:
    """Choices of a prediction, made after training and changeable at any time.

    Args:
        mode: `auto` as the training's input_mode suggests (resize or full); `full` the whole image; `resize` the
            image resized and its probabilities enlarged; `tiles` tiles side by side; `overlap` overlapping tiles.
        scale: resize mode: side of the input per side of the image, over 0 to 4; None: the training's.
        tile_size: tiles and overlap modes: side of a tile, 32 pixels or more; None: the training's crop_size, or 512
            when it did not crop.
        overlap: overlap mode: share of a tile's side that the next one repeats, 0 to 0.9.
        flip: average with the prediction of the mirrored image.
        scales: sizes over which predictions are averaged, per size of the mode, each over 0 to 4.
        least_areas: by class name, millionths of the image that a component of the class must have to stay; classes
            that are not in it keep all.
    """

    mode: Literal["auto", "full", "resize", "tiles", "overlap"] = "auto"
    scale: float | None = None
    tile_size: int | None = None
    overlap: float = 0.5
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    least_areas: dict[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.scale is not None and not 0 < self.scale <= MAX_SCALE:
            raise ConfigError(f"scale={self.scale} is not over 0 and at most {MAX_SCALE:g}; use 0.5 for half the side.")
        if self.tile_size is not None and self.tile_size < STRIDE:
            raise ConfigError(
                f"tile_size={self.tile_size} is less than {STRIDE} pixels, what the deepest level of a network needs; "
                f"use {_DEFAULT_TILE_SIZE}."
            )
        if not 0 <= self.overlap <= MAX_OVERLAP:
            raise ConfigError(
                f"overlap={self.overlap} is no share of a tile between 0 and {MAX_OVERLAP}; use 0.5 for half a tile."
            )
        if not self.scales or not all(0 < scale <= MAX_SCALE for scale in self.scales):
            raise ConfigError(
                f"scales={self.scales} are not one or more numbers over 0 and at most {MAX_SCALE:g}; use 0.75,1,1.25."
            )
        if len(set(self.scales)) < len(self.scales):
            raise ConfigError(f"scales={self.scales} hold a scale twice, which only costs time; keep one.")

        if not all(0 < millionths <= _MILLION for millionths in self.least_areas.values()):
            raise ConfigError(
                f"least_areas={self.least_areas} are no millionths of an image over 0 and at most {_MILLION}; use 100."
            )

    @classmethod
    def from_values(cls, values: Mapping[str, object]) -> Self:
        """Build options from names and values, such as those of `ensemble.json`.

        Raises:
            ConfigError: naming each unknown option, each value of another type and the first one out of range.
        """
        try:
            return cls(**values)  # type: ignore[arg-type]
        except ValidationError as error:
            problems = (
                f"{problem['loc'][0]}={problem['input']!r} is no prediction option ({problem['msg'].lower()})"
                for problem in error.errors()
            )
            names = ", ".join(field.name for field in dataclasses.fields(cls))
            raise ConfigError(f"{'; '.join(problems)}; the options are {names}.") from None

    def replaced(self, values: Mapping[str, object]) -> Self:
        """Return these options with some values changed; raises `ConfigError` as `from_values` does."""
        return self.from_values({**self.values(), **values})

    def values(self) -> dict[str, Any]:
        """Return every option by name; `from_values` takes it back."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PredictPlan:
    """What options mean for a network of one training.

    Args:
        factors: sides of the networks' inputs per side of the image, one for each size to look at.
        mirrored: whether an input is mirrored, for each time that a size is looked at.
        tiling: how an input is cut into tiles; None: not at all.
    """

    factors: tuple[float, ...]
    mirrored: tuple[bool, ...]
    tiling: Tiling | None


def plan_prediction(options: PredictOptions, config: TrainConfig) -> PredictPlan:
    """Fill in from the training what options leave open.

    Args:
        options: what to do.
        config: backbone, input_mode, scale and crop_size are used; a backbone that takes one size only sees tiles of
            it, or of less, in every mode.

    Raises:
        ConfigError: for resize mode without a scale, when the training did not resize either.
    """
    mode = _resolve_mode(options, config)
    base = _base_scale(options, config) if _resizes(options, config) else 1.0
    if takes_one_size(config):
        size = min(options.tile_size or config.crop_size, config.crop_size)
        options = dataclasses.replace(options, mode=mode, tile_size=size)
    return PredictPlan(
        factors=tuple(base * scale for scale in options.scales),
        mirrored=(False, True) if options.flip else (False,),
        tiling=_plan_tiling(options, config) if mode in ("tiles", "overlap") else None,
    )


def require_effect(given: Collection[str], options: PredictOptions, configs: Collection[TrainConfig]) -> None:
    """Refuse an option that changes nothing, as a scale where images are seen whole.

    Args:
        given: names of the options that a person gave.
        options: with those that nobody gave.
        configs: of the networks.

    Raises:
        ConfigError: naming the option and the mode in which it has an effect.
    """
    modes = {_resolve_mode(options, config) for config in configs}
    resized = any(_resizes(options, config) for config in configs)
    idle = {
        "scale": not resized and "resize",
        "tile_size": not modes & {"tiles", "overlap"} and "overlap or tiles",
        "overlap": "overlap" not in modes and "overlap",
    }
    for name in given:
        if mode := idle.get(name):
            raise ConfigError(
                f"{name}={getattr(options, name)} changes nothing in mode {' and '.join(sorted(modes))}; give mode "
                f"{mode} too, or leave it out."
            )


def parse_scales(text: str) -> tuple[float, ...]:
    """Split numbers joined by commas, as given on a command line; raises `ConfigError` for anything else."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"scales={text!r} are not numbers joined by commas; write 0.75,1,1.25.") from None


def _resizes(options: PredictOptions, config: TrainConfig) -> bool:
    return options.mode == "resize" or (options.mode == "auto" and config.input_mode == "resize")


def _resolve_mode(options: PredictOptions, config: TrainConfig) -> Literal["full", "resize", "tiles", "overlap"]:
    if takes_one_size(config):
        return "tiles" if options.mode == "tiles" else "overlap"
    if options.mode == "auto":
        return "resize" if config.input_mode == "resize" else "full"
    return options.mode


def _base_scale(options: PredictOptions, config: TrainConfig) -> float:
    if options.scale is not None:
        return options.scale
    if config.input_mode != "resize":
        # The configuration's scale had no part in this training, so it says nothing about the network.
        raise ConfigError(
            f"mode='resize' has no scale: the training's input_mode={config.input_mode!r} saw images at their "
            "original size; give a scale, such as 0.5, or use mode='full'."
        )
    return config.scale


def _plan_tiling(options: PredictOptions, config: TrainConfig) -> Tiling:
    trained_size = config.crop_size if config.input_mode == "crop" else _DEFAULT_TILE_SIZE
    size = options.tile_size or trained_size
    if options.mode == "tiles":
        return Tiling(size=size, stride=size, gaussian=False)
    return Tiling(size=size, stride=max(1, round(size * (1 - options.overlap))), gaussian=True)
