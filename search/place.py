"""`Place`: where a search runs and on what, and the only place of its defaults and descriptions.

Saved as `place.json` beside `settings.json`, which says what the search is. Each may change between two commands: the
search goes on on another cluster, with its data under another path. The storage is where the search's folder was
found, so it is never saved, and neither is what follows from it.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Final

import pydantic
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from search.settings import SearchSettings, describe_damage, describe_problems, parse_duration
from search.storage import find_bucket
from search.tracking_uri import fix_uri, mask_uri, own_tracking_uri
from segcore.data.bringing import keep_place
from segcore.data.caching.disk import DEFAULT_CACHE, resolve_folder
from segcore.errors import CheckpointError, ConfigError
from segcore.regular import read_regular
from segcore.replacing import write_lasting

DEFAULT_STORAGE: Final = Path("searches")
_MOST: Final = 1_000_000
"""Of a resource that a trial may be given; hours of more are no numbers any more."""
_MISREAD: Final = re.compile(r"\?|%[0-9A-Fa-f]{2}")
_JOB_COPIES: Final = "working_dir_files"
"""Ray's folder of the copies that `ray job submit --working-dir` makes of the code."""


def _duration_of(option: str) -> BeforeValidator:
    return BeforeValidator(lambda value: parse_duration(value, option) if isinstance(value, str) else value)


Text = Annotated[str, BeforeValidator(str)]
"""Also given as a path."""


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Place:
    """Where one search runs; build it with `build_place`, which turns mistakes into `ConfigError`."""

    data: Annotated[
        Text, Field(description="data-set folder or archive, at the same path on every node, or s3://BUCKET/FOLDER")
    ]
    layout: Annotated[
        str, Field(description="of the data set, as 'segcore check --help' names them; empty: recognised")
    ] = ""
    extra: Annotated[
        tuple[Text, ...],
        Field(description="data set to train on too, never validated, such as pseudo labels"),
    ] = ()
    gpus_per_trial: Annotated[
        float, Field(ge=0, le=_MOST, description="GPUs per trial; 0.5 lets two trials share one")
    ] = 0.0
    cpus_per_trial: Annotated[float, Field(gt=0, le=_MOST, description="processor cores per trial")] = 1.0
    max_concurrent: Annotated[int, Field(ge=0, description="most trials at a time; 0: as many as fit")] = 0
    max_failures: Annotated[int, Field(ge=0, description="restarts of a trial whose worker or node died")] = 3
    wait_seconds: Annotated[
        float,
        _duration_of("--wait"),
        Field(ge=0, description="longest wait for a node of the cluster that can hold a trial: 90s, 30m, 2h"),
    ] = 1800.0
    hang_after_seconds: Annotated[
        float,
        _duration_of("--hang-after"),
        Field(ge=0, description="shortest silence after which a trial is taken for hung, such as 10m; 0: never"),
    ] = 600.0
    address: Annotated[str, Field(description="Ray cluster, auto or HOST:PORT; empty: start a local Ray")] = ""
    tracking_uri: Annotated[
        str, Field(description="MLflow, http://HOST:PORT or sqlite:///FILE; empty: a file in the storage")
    ] = ""
    cache: Annotated[Path, Field(description="folder of decoded images on each node")] = DEFAULT_CACHE
    storage: Annotated[
        Path,
        Field(description="folder of all searches, shared by all nodes"),
    ] = DEFAULT_STORAGE
    home: Annotated[
        Path | None, Field(description="the search's folder when this was saved; elsewhere it is a copy, or was moved")
    ] = None

    @property
    def shares_gpus(self) -> bool:
        """Whether several trials are to train on one GPU."""
        return 0 < self.gpus_per_trial < 1


def build_place(values: dict[str, Any]) -> Place:
    """Validate where a search runs and make its paths absolute.

    Args:
        values: field names and values.

    Raises:
        ConfigError: naming each value that is not allowed.
    """
    try:
        place = Place(**values)
    except pydantic.ValidationError as error:
        raise ConfigError(describe_problems(error)) from None
    _refuse_impossible(place)
    storage = resolve_folder("storage", place.storage)
    if _JOB_COPIES in storage.parts:
        raise ConfigError(
            f"--storage {storage} lies in the copy of the code that Ray made for this job and deletes after it; give a "
            "folder that all nodes share."
        )
    absolute = {
        "data": keep_place("data", place.data),
        "extra": tuple(keep_place("extra", each) for each in place.extra),
        "storage": storage,
        "cache": resolve_folder("cache", place.cache),
        "tracking_uri": fix_uri(place.tracking_uri) or own_tracking_uri(storage),
    }
    return Place(**{**place_values(place), **absolute})


def change_place(place: Place, changes: dict[str, Any]) -> Place:
    """Return the place with changes, validated like a new one.

    Raises:
        ConfigError: naming each value that is not allowed.
    """
    return build_place({**place_values(place), **changes})


def place_values(place: Place) -> dict[str, Any]:
    """Return everything about a place by name, as JSON holds it."""
    values: dict[str, Any] = TypeAdapter(Place).dump_python(place, mode="json")
    return values


def write_place(place: Place, file: Path) -> None:
    """Write `place.json` atomically, without passwords."""
    # What is in a bucket is where it was, from whichever machine it is looked at.
    home = None if find_bucket(file.parent.parent) is not None else str(file.parent)
    values = {**place_values(place), "home": home}
    own = values["tracking_uri"] == own_tracking_uri(place.storage)
    values["tracking_uri"] = "" if own else mask_uri(values["tracking_uri"])
    del values["storage"]
    write_lasting(file, TypeAdapter(dict[str, Any]).dump_json(values, indent=1))


def read_place(file: Path) -> Place:
    """Read `place.json`; the storage is the one that the file was found in.

    Raises:
        CheckpointError: when it is damaged.
    """
    try:
        place = TypeAdapter(Place).validate_json(read_regular(file))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{file} cannot be read ({describe_damage(error)}); restore it, or go on by 'resume', 'confirm' or "
            "'retrain' with --data and all else that was said of where it runs, such as --extra and --tracking-uri."
        ) from error
    return change_place(place, {"storage": file.resolve().parent.parent})


def require_honest_latency(settings: SearchSettings, place: Place) -> None:
    """Refuse to measure how long predictions take while a neighbour is busy on the same GPU.

    Raises:
        ConfigError: when a search weighs or limits latency and its trials share GPUs.
    """
    if place.shares_gpus and (settings.weighs_latency or settings.max_latency_ms):
        limit = f"--max-latency-ms {settings.max_latency_ms:g}"
        wanted = limit if settings.max_latency_ms else f"--objective {settings.objective}"
        raise ConfigError(
            f"{wanted} with --gpus-per-trial {place.gpus_per_trial:g}: a trial that shares its GPU cannot measure how "
            "long a prediction takes; use --gpus-per-trial 1, or search for what is good alone, without a limit."
        )


def require_own_database(place: Place) -> None:
    """Refuse a new search in a storage whose database no address can name.

    Raises:
        ConfigError: when MLflow is to be in the storage, and would misread its name.
    """
    if place.tracking_uri == own_tracking_uri(place.storage) and _MISREAD.search(str(place.storage)):
        raise ConfigError(
            f"--storage {place.storage}: in an address, such as that of MLflow's database there, ? and % with two "
            "digits mean something else; choose another folder, or an MLflow by --tracking-uri."
        )


def require_one_gpu(place: Place) -> None:
    """Refuse to give a trial more GPUs than its training uses.

    Raises:
        ConfigError: when a trial is to have more than one.
    """
    if place.gpus_per_trial > 1:
        raise ConfigError(_describe_idle_gpus(place.gpus_per_trial))


def _describe_idle_gpus(gpus: float) -> str:
    return (
        f"--gpus-per-trial {gpus:g}: a training uses one GPU, and the others would stand idle; use --gpus-per-trial 1, "
        "which lets as many trials run at a time as there are GPUs."
    )


def _refuse_impossible(place: Place) -> None:
    if place.gpus_per_trial > 1 and place.gpus_per_trial % 1:
        raise ConfigError(_describe_idle_gpus(place.gpus_per_trial))
    if re.search(r"\s", place.tracking_uri) and "@" in place.tracking_uri:
        # Not shown: where its password ends cannot be told.
        raise ConfigError("--tracking-uri has a blank in its user or password; write %20 for it.")
    if place.address.startswith("ray://"):
        raise ConfigError(
            f"--address {place.address}: a driver behind Ray Client cannot keep the search's journal; start on a "
            "machine of the cluster with --address auto, or by 'ray job submit'."
        )
