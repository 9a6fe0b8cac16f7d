"""What a journal's lines say: a dataclass per kind of event, and the only place that reads or writes their text.

What follows from events is in `history`; the file that holds them in `journal`.
"""

from dataclasses import replace
from typing import Annotated, Any, Final, Literal

import pydantic
from pydantic import AliasChoices, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from search.memory.moment import now
from search.memory.outcome import Outcome
from search.settings import NEWER
from segcore.config import TrainConfig
from segcore.errors import CheckpointError, ConfigError

_TOLD_LETTERS: Final = 300

_UNKNOWN: Final = ("unexpected_keyword_argument", "union_tag_invalid")

_CONFIG: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Moment = Annotated[float, Field(ge=0, lt=9e9)]
"""Seconds since the Unix epoch, to the year 2255: tables cannot tell later moments."""
Number = Annotated[int, Field(ge=0)]
"""Of a trial, from 0."""
Epochs = Annotated[int, Field(ge=1, le=100_000)]
"""Finished epochs, no more than a training may have."""
Measure = Annotated[float, Field(gt=-1e60, lt=1e60)]
"""What a training measured: its numbers have 32 bits, and of larger ones no chart can be drawn."""
Reason = Annotated[str, Field(min_length=1, max_length=300)]
"""In a line."""


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Opened:
    """A process took the stage.

    Args:
        cache_key: name of the data's cache; other data has another.
    """

    event: Literal["opened"] = "opened"
    cache_key: str
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Asked:
    """A trial was proposed; one that is asked for again starts from scratch.

    Args:
        trial: its number.
        fold: fold that it is scored on.
        values: every `TrainConfig` value.
        params: what the space drew.
        source: the search's trial whose configuration it trains again; None in a search.
        copy_of: the confirmation's training that a retraining has it from; None: it is trained here.
        drawable: whether the space could have drawn it.
        ahead: what the model had advised beside it, for the trials after it.
        first_rung: finished epochs before which ASHA lets it go on whatever its score; 0: it is judged from the
            search's first rung on.
    """

    event: Literal["asked"] = "asked"
    trial: Number
    fold: Annotated[int, Field(ge=0)]
    values: dict[str, Any]
    params: dict[str, Any]
    source: Number | None = None
    copy_of: Number | None = None
    drawable: bool = True
    ahead: list[dict[str, Any]] = Field(default_factory=list)
    first_rung: Annotated[int, Field(ge=0)] = 0
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Started:
    """A worker took a trial.

    Args:
        trial: its number.
        node: that the worker is on, as Ray names it, or None.
    """

    event: Literal["started"] = "started"
    trial: Number
    node: str | None = None
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Epoch:
    """A trial reported an epoch; earlier reports of this epoch or of later ones no longer count.

    Args:
        trial: its number.
        epoch: finished epochs, from 1.
        metrics: finite numbers by name.
        picture: file of the first of its validation pictures, relative to the stage's folder, or None.
        pictures: files of all of them, likewise, by what they show: a condition of the data.
        verdict: why ASHA stops the trial here; empty when it goes on.
        device: what it was trained on, the GPU's name or cpu; empty where it is not known.
        note: what of the training is slower than its machine could be, and why; said once by each worker that has it.
        system: what its machine did meanwhile, by MLflow's names; it is shown there alone.
        image_scores: by validation image numbers whose mean is the metric that decides, see
            `segcore.scoring.metrics.divide_metric`; None in a search, which compares no images.
    """

    event: Literal["epoch"] = "epoch"
    trial: Number
    epoch: Epochs
    metrics: dict[str, Measure]
    picture: str | None = None
    pictures: dict[str, str] = Field(default_factory=dict)
    verdict: str = ""
    device: str = ""
    note: str = ""
    system: dict[str, Measure] = Field(default_factory=dict)
    # So it was called when that metric was `iou` in every search.
    image_scores: Annotated[
        dict[str, Measure] | None, Field(validation_alias=AliasChoices("image_scores", "image_ious"))
    ] = None
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class CheckpointSaved:
    """A trial can go on from here.

    Args:
        trial: its number.
        epoch: finished epochs in it; 0 before the first.
        path: its folder, relative to the stage's.
    """

    event: Literal["checkpoint"] = "checkpoint"
    trial: Number
    epoch: Annotated[int, Field(ge=0, le=100_000)]
    path: str
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Restarted:
    """A trial's worker failed and another goes on from its last checkpoint.

    Args:
        trial: its number.
        message: what is known of the cause.
        node: that the worker was on, as Ray names it, or None.
        of_node: whether the fault is known to be the node's.
    """

    event: Literal["restarted"] = "restarted"
    trial: Number
    message: str = ""
    node: str | None = None
    of_node: bool = False
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Ended:
    """A trial ended.

    Args:
        trial: its number.
        outcome: how.
        message: why so.
        accelerator: kind of GPU that it ended on, as Ray names it, or None.
        node: that its worker failed on, as Ray names it, or None.
    """

    event: Literal["ended"] = "ended"
    trial: Number
    outcome: Outcome
    message: str = ""
    accelerator: str | None = None
    node: str | None = None
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Reopened:
    """A trial that had ended goes on from its checkpoint: it was promoted, or is tried again after a failure.

    Args:
        trial: its number.
        accelerator: kind of GPU that it needs, as Ray names it; None: any.
    """

    event: Literal["reopened"] = "reopened"
    trial: Number
    accelerator: str | None = None
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Dropped:
    """A trial's checkpoint was deleted, so it cannot go on."""

    event: Literal["dropped"] = "dropped"
    trial: Number
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Pruned:
    """A person wants a trial ended: at once while it waits, else when its epoch is done.

    Args:
        trial: its number.
        reason: who wants it, and why.
    """

    event: Literal["pruned"] = "pruned"
    trial: Number
    reason: Reason
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Kept:
    """A person wants a trial spared: ASHA does not stop it any more, and takes it up again if it waits.

    Args:
        trial: its number.
        reason: who wants it, and why.
    """

    event: Literal["kept"] = "kept"
    trial: Number
    reason: Reason
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Warned:
    """Something happened that a person who watches the stage should know.

    Args:
        message: what, and what to do.
    """

    event: Literal["warned"] = "warned"
    message: str
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Halted:
    """The process left the stage; no worker has a trial any more."""

    event: Literal["halted"] = "halted"
    time: Moment = Field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Closed:
    """The stage has what it was run for.

    Args:
        metrics: of the whole stage.
        note: what there is to say of it, as Markdown.
    """

    event: Literal["closed"] = "closed"
    metrics: dict[str, Measure]
    note: str
    time: Moment = Field(default_factory=now)


TrialEvent = Asked | Started | Epoch | CheckpointSaved | Restarted | Ended | Reopened | Dropped | Pruned | Kept
Event = Opened | TrialEvent | Warned | Halted | Closed

_ADAPTER: Final[TypeAdapter[Event]] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def parse_event(line: bytes) -> Event:
    """Read an event from a line of a journal.

    Raises:
        CheckpointError: saying what is wrong with the line.
    """
    try:
        event = _ADAPTER.validate_json(line)
        return _with_whole_values(event) if isinstance(event, Asked) else event
    except ConfigError as error:
        raise CheckpointError(f"values: {error}") from None
    except pydantic.ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in problem["loc"][1:])
        told = f"{place}: {problem['msg']}" if place else problem["msg"]
        if problem["type"] in _UNKNOWN:
            told = f"{NEWER}, with which to go on; else, {told}"
        raise CheckpointError(told[:_TOLD_LETTERS]) from None


def _with_whole_values(event: Asked) -> Asked:
    # Whatever shows, compares or trains a trial asks for its values by name.
    return replace(event, values=TrainConfig.from_values(event.values).values())


def encode_event(event: Event) -> bytes:
    """Return an event as a line of a journal, without its end."""
    return _ADAPTER.dump_json(event)
