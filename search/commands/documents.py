"""What `--json` prints: a dataclass per document, whose fields and descriptions are the schema.

How they are filled is in `filling`; `docs/json.md` has the same fields as tables, and a test compares the two.
"""

import json
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

FORM: Final = 1
"""Counts up when a field is taken away or means something else; new fields may come at any time."""

_CONFIG: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Form = Annotated[int, Field(description="of the document; another one when a field went or means something else")]
_STATES: Final = (
    "running, confirming, retraining, interrupted (any stage), out of time, finished, failed (none can win), "
    "retrained, unreadable"
)
Moment = Annotated[float | None, Field(description="seconds since 1970, UTC; null when it has not come")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class SearchLine:
    """A search in the list of all."""

    name: Annotated[str, Field(description="of the search")]
    state: Annotated[
        str,
        Field(description=_STATES),
    ]
    problem: Annotated[str, Field(description="why it cannot be read; else empty")] = ""
    metric: Annotated[str, Field(description="that decides")] = ""
    trials: Annotated[int, Field(description="begun")] = 0
    planned_trials: Annotated[int, Field(description="to be tried in all")] = 0
    best: Annotated[float | None, Field(description="highest score in the search")] = None
    confirmed: Annotated[float | None, Field(description="winner's score on further folds or seeds")] = None
    out_of_fold: Annotated[float | None, Field(description="score of the winner's retraining")] = None
    device_hours: Annotated[float, Field(description="of GPUs in all stages, or of cores where trials have no GPU")] = (
        0.0
    )
    device: Annotated[str, Field(description="GPU-hours or core-hours: what these are")] = "core-hours"
    last_heard: Moment = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class ListDocument:
    """`list --json`."""

    form: Form = FORM
    storage: Annotated[str, Field(description="folder or bucket of all searches")]
    searches: Annotated[list[SearchLine], Field(description="see below")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class TrialLine:
    """A trial of the search."""

    trial: Annotated[int, Field(description="number, from 0")]
    state: Annotated[str, Field(description="running, waiting, or how it ended")]
    reason: Annotated[str, Field(description="why it ended so; may be empty")]
    epochs: Annotated[int, Field(description="finished")]
    score: Annotated[float | None, Field(description="highest of any epoch; null before one")]
    best_epoch: Annotated[int | None, Field(description="epoch of that score")]
    metrics: Annotated[dict[str, float], Field(description="of that epoch, by name")]
    params: Annotated[dict[str, Any], Field(description="what the space drew")]
    kept: Annotated[bool, Field(description="whether ASHA is to spare it")]
    restarts: Annotated[int, Field(description="times that its worker died and it went on")]
    worker_seconds: Annotated[float, Field(description="that workers had it")]
    started: Moment
    ended: Moment
    heard: Moment


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class StageLine:
    """What a stage took."""

    stage: Annotated[str, Field(description="search, confirm or retrain")]
    trainings: Annotated[int, Field(description="that were begun here")]
    worker_seconds: Annotated[float, Field(description="of all workers together")]
    device_hours: Annotated[float, Field(description="of GPUs, or of cores where trials have no GPU")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class BestScore:
    """The best of the search's fold, whose score flatters."""

    trial: Annotated[int, Field(description="its number")]
    epoch: Annotated[int, Field(description="of the score")]
    score: Annotated[float, Field(description="in the metric that decides")]
    metrics: Annotated[dict[str, float], Field(description="of that epoch, by name")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Confirmed:
    """The winner on further folds, or with further seeds."""

    trial: Annotated[int, Field(description="the winner's number")]
    score: Annotated[float, Field(description="mean over the rounds")]
    low: Annotated[float | None, Field(description="of its 95 % interval over images; null where nothing tells")]
    high: Annotated[float | None, Field(description="the other end")]
    rounds: Annotated[int, Field(description="further folds, or seeds")]
    optimism: Annotated[float, Field(description="by how much the search's score was above it")]
    rivals: Annotated[list[int], Field(description="trials that cannot be told from the winner")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class OutOfFoldScore:
    """The retraining's score."""

    score: Annotated[float | None, Field(description="over all images together; null where nothing was counted")]
    trainings: Annotated[list[float], Field(description="score of each training, in order")]
    metrics: Annotated[dict[str, float], Field(description="over all images together, by name")]
    of_winner: Annotated[bool, Field(description="false where another trial has won since: it is of the one before")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class StatusDocument:
    """`status --json`."""

    form: Form = FORM
    name: Annotated[str, Field(description="of the search")]
    state: Annotated[str, Field(description="as in `list --json`")]
    metric: Annotated[str, Field(description="that decides")]
    planned_trials: Annotated[int, Field(description="to be tried in all")]
    epochs: Annotated[int, Field(description="of a whole training")]
    counts: Annotated[dict[str, int], Field(description="trials by state")]
    seconds_left: Annotated[float | None, Field(description="of what runs now; null where nothing tells")]
    best: Annotated[BestScore | None, Field(description="see below; null before a score")]
    confirmed: Annotated[Confirmed | None, Field(description="see below; null before it is confirmed")]
    out_of_fold: Annotated[OutOfFoldScore | None, Field(description="see below; null before it is retrained")]
    device: Annotated[str, Field(description="GPU-hours or core-hours: what `device_hours` of the stages are")]
    stages: Annotated[list[StageLine], Field(description="see below")]
    warnings: Annotated[list[str], Field(description="what was to be told, the latest last")]
    trials: Annotated[list[TrialLine], Field(description="see below")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class BestDocument:
    """`best --json`."""

    form: Form = FORM
    file: Annotated[str, Field(description="path of best.json")]
    best: Annotated[dict[str, Any], Field(description="what it holds")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class ReplayLine:
    """What ASHA would have decided under other settings."""

    grace_epochs: Annotated[int, Field(description="first rung")]
    reduction_factor: Annotated[int, Field(description="of so many trials at a rung one goes on")]
    own: Annotated[bool, Field(description="whether these are the search's settings")]
    stopped: Annotated[dict[str, int], Field(description="epoch after which a trial waits in the end, by its number")]
    revived: Annotated[list[int], Field(description="trials that waited and went on")]
    saved_epochs: Annotated[int, Field(description="that would not have been trained")]
    saved_seconds: Annotated[float, Field(description="of workers, likewise")]
    open: Annotated[list[int], Field(description="trials that go on beyond their record")]
    least_epochs: Annotated[int, Field(description="that these would cost at least")]
    most_epochs: Annotated[int, Field(description="and at most")]
    best: Annotated[float | None, Field(description="highest score that would have been reported")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class ReplayDocument:
    """`replay --json`."""

    form: Form = FORM
    name: Annotated[str, Field(description="of the search")]
    metric: Annotated[str, Field(description="that decides")]
    agreements: Annotated[list[float], Field(description="Kendall's tau of ranks after each epoch with the end")]
    decisions: Annotated[list[ReplayLine], Field(description="see below")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class NodeLine:
    """A node that `doctor` looked at."""

    name: Annotated[str, Field(description="by which a person finds it")]
    cpus: Annotated[float, Field(description="cores that Ray believes it has")]
    gpus: Annotated[float, Field(description="GPUs, likewise")]
    answered: Annotated[bool, Field(description="whether it said how it is")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class FindingLine:
    """What `doctor` found."""

    level: Annotated[str, Field(description="fault or warning")]
    where: Annotated[str, Field(description="node, or what is looked at")]
    told: Annotated[str, Field(description="what is wrong, and what to do")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class DoctorDocument:
    """`doctor --json`."""

    form: Form = FORM
    nodes: Annotated[list[NodeLine], Field(description="see below")]
    findings: Annotated[list[FindingLine], Field(description="see below")]


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class NotifyDocument:
    """What `--notify` posts."""

    form: Form = FORM
    event: Annotated[str, Field(description="finished, interrupted (it can go on) or failed")]
    command: Annotated[str, Field(description="launch, resume, confirm or retrain")]
    search: Annotated[str, Field(description="its name")]
    storage: Annotated[str, Field(description="folder or bucket of all searches")]
    text: Annotated[str, Field(description="all in a sentence or two, as chat rooms show it")]
    message: Annotated[str, Field(description="what the command said last; empty where it finished")]
    state: Annotated[str, Field(description="as in `list --json`; empty where no search was begun")] = ""
    metric: Annotated[str, Field(description="that decides")] = ""
    trials: Annotated[int, Field(description="begun")] = 0
    planned_trials: Annotated[int, Field(description="to be tried in all")] = 0
    best: Annotated[float | None, Field(description="highest score in the search")] = None
    confirmed: Annotated[float | None, Field(description="winner's score on further folds or seeds")] = None
    out_of_fold: Annotated[float | None, Field(description="score of the winner's retraining")] = None


Document = NotifyDocument | ListDocument | StatusDocument | BestDocument | ReplayDocument | DoctorDocument


def encode_document(document: Document) -> str:
    """Return a document as JSON in ASCII, which every terminal and program takes."""
    return json.dumps(json.loads(TypeAdapter(type(document)).dump_json(document)), indent=1)
