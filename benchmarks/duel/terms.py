"""What both searches are given alike, and the folder that each of them fills."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from search.folder import SearchFolder
from segcore.config import TrainConfig
from segcore.errors import CheckpointError

FOLD: Final = 0
"""The fold that trials are scored on; choices are confirmed on the ones after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What both searches are given alike.

    Args:
        data: data-set folder.
        output: where searches, caches and results lie.
        cache_key: of the decoded data, which both find ready.
        space: name or import path of the define-by-run space.
        fixed: `TrainConfig` values that hold for every trial.
        seconds: how long a search may take, from the start of Ray Tune.
        epochs: most epochs of a trial.
        folds: parts that the data is divided into.
        confirm_folds: further folds that each choice is trained on.
        max_concurrent: most trials at a time; the machine must hold as many.
        cpus_per_trial: processor cores of a trial.
        gpus_per_trial: GPUs of a trial.
        seed: of the first round; each further round has the next one.
        tracking_uri: MLflow's address.
        known: parameters that were good on other data, the best first; one arm tries them first.
    """

    data: str
    output: str
    cache_key: str
    space: str
    fixed: dict[str, Any]
    seconds: float
    epochs: int
    folds: int
    confirm_folds: int
    max_concurrent: int
    cpus_per_trial: float
    gpus_per_trial: float
    seed: int
    tracking_uri: str
    known: list[dict[str, Any]]

    @property
    def cache(self) -> Path:
        """Folder of the decoded data."""
        return Path(self.output) / "cache"

    @property
    def storage(self) -> Path:
        """Folder of all searches."""
        return Path(self.output) / "searches"

    @property
    def file(self) -> Path:
        """Where the terms are written."""
        return Path(self.output) / "terms.json"

    @property
    def further_folds(self) -> list[int]:
        """The folds after the searches' own that choices are confirmed on."""
        return [(FOLD + step) % self.folds for step in range(1, self.confirm_folds + 1)]

    def folder(self, arm: str, number: int) -> SearchFolder:
        """Return the folder that an arm fills in a round."""
        return SearchFolder(root=self.storage / f"{arm}-{number}")


def read_terms(file: Path) -> Terms:
    """Read terms that `write_terms` wrote.

    Raises:
        CheckpointError: when the file is damaged, or of another version.
    """
    try:
        return Terms(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}); give another folder with --output.") from error


def write_terms(terms: Terms) -> None:
    """Write the terms for the arms, which run in processes of their own."""
    terms.file.write_text(json.dumps(asdict(terms), indent=1), encoding="utf-8")


def complete_config(drawn: Mapping[str, Any], terms: Terms, seed: int) -> TrainConfig:
    """Return the configuration that a draw stands for, as the project's search completes its own draws."""
    return TrainConfig.from_values({"seed": seed, **drawn, **terms.fixed, "epochs": terms.epochs})
