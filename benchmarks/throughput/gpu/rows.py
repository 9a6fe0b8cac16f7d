"""Which rows are measured, those worth most first: a run that is cut has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Found = dict[str, Any]
"""What a row brought, by name; `failed` says why there is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the tables.

    Args:
        kind: peaks, start, step, training or prediction.
        arm: segcore, plain or contest.
        mode: input of a training, see `benchmarks.throughput.modes`.
        batch_size: samples of a batch.
        members: networks of a prediction.
        compile: how segcore compiles: auto, on or off.
        at_once: so many processes do the same at the same time, on one card.
        most_seconds: after which the row is given up.
    """

    kind: str
    arm: str = "segcore"
    mode: str = ""
    batch_size: int = 0
    members: int = 0
    compile: Literal["auto", "on", "off"] = "off"
    at_once: int = 1
    most_seconds: float = 60.0

    @property
    def compiles(self) -> bool:
        """Whether its network is compiled: the competent user's is."""
        return self.kind == "training" and (self.arm == "plain" or self.compile == "on")

    @property
    def name(self) -> str:
        """What the row is called, such as `training segcore crop:512 batch 16`."""
        parts = [self.kind, self.arm if self.kind in ("training", "prediction") else "", self.mode]
        parts += [f"batch {self.batch_size}"] if self.batch_size else []
        parts += [f"{self.members} network(s)"] if self.members else []
        parts += [f"compile {self.compile}"] if self.compile != "off" else []
        parts += [f"{self.at_once} at once"] if self.at_once > 1 else []
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large everything is.

    Args:
        height: of an image, pixels.
        width: of an image, pixels.
        streets: images that are drawn.
        trained: images of an epoch, those that were drawn again and again.
        validated: images of a validation: a quarter of them, as with five folds.
        rounds: epochs that are measured, after one to warm up.
        decoder_channels: of the networks.
    """

    height: int
    width: int
    streets: int
    trained: int
    validated: int
    rounds: int
    decoder_channels: int


WHOLE: Final = Scale(
    height=1216, width=1936, streets=8, trained=48, validated=12, rounds=2, decoder_channels=256
)  # fmt: skip
"""The contest's images."""

TINY: Final = Scale(height=128, width=192, streets=3, trained=4, validated=1, rounds=1, decoder_channels=16)
"""To try the command where there is no card: its figures say nothing."""


def _train(arm: str, mode: str, batch_size: int, most_seconds: float = 50.0, **more: Any) -> Row:
    return Row(kind="training", arm=arm, mode=mode, batch_size=batch_size, most_seconds=most_seconds, **more)


def _predict(arm: str, members: int) -> Row:
    return Row(kind="prediction", arm=arm, members=members, most_seconds=40.0)


ROWS: Final[Sequence[Row]] = (
    Row(kind="peaks", most_seconds=40.0),
    Row(kind="start", mode="crop:512", batch_size=16, most_seconds=120.0),
    Row(kind="step", mode="crop:512", batch_size=16, most_seconds=50.0),
    _train("segcore", "crop:512", 16),
    _train("plain", "crop:512", 16, 80.0),
    _train("segcore", "full", 4),
    _train("contest", "full", 4, 70.0),
    _train("segcore", "crop:512", 16, 80.0, compile="on"),
    _predict("segcore", 1),
    _train("plain", "full", 4, 80.0),
    _train("segcore", "resize:0.5", 8),
    _train("segcore", "crop:256", 64),
    _predict("segcore", 5),
    _predict("plain", 1),
    _train("segcore", "crop:512", 16, 60.0, at_once=2),
    _train("segcore", "full", 4, 80.0, compile="on"),
    _train("plain", "resize:0.5", 8, 80.0),
    _train("segcore", "crop:512", 64),
    _predict("plain", 5),
    _train("contest", "crop:512", 16),
    _train("plain", "crop:256", 64, 80.0),
)
"""On a card."""

TINY_ROWS: Final[Sequence[Row]] = (
    Row(kind="peaks"),
    Row(kind="start", mode="crop:64", batch_size=2, most_seconds=180.0),
    Row(kind="step", mode="crop:64", batch_size=2),
    _train("segcore", "crop:64", 2),
    _predict("segcore", 2),
    _train("plain", "crop:64", 2),
    _train("contest", "full", 2),
)
"""Without one."""


_SUMMED: Final = {"samples_per_second", "epoch_samples_per_second", "images_per_second", "peak_memory_gib"}


def merge(parts: Sequence[Mapping[str, Any]]) -> Found:
    """Return what processes that ran at once brought together: rates and memory are added, all else is averaged.

    How long the device waited is left out where there were several: each process saw its own work alone.
    """
    if failed := next((part["failed"] for part in parts if "failed" in part), ""):
        return {"failed": failed}
    left_out = {"idle_share", "longest_gap_ms"} if len(parts) > 1 else set[str]()
    return {
        name: sum(part[name] for part in parts) / (1 if name in _SUMMED else len(parts))
        for name, value in parts[0].items()
        if isinstance(value, int | float) and name not in left_out
    }
