"""Searches of the past: written into an MLflow store by the project's own tracking, without training anything."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from search.folder import StageFolder
from search.memory.events import Asked, Ended, Epoch
from search.memory.journal import Journal, read_events
from search.memory.outcome import Outcome
from search.place import build_place, change_place
from search.settings import SearchSettings, build_settings
from search.tracking.runs import StageRuns
from segcore.config import TrainConfig

DEMO = {"backbone": "tf_efficientnet_lite0", "decoder_channels": 64, "batch_size": 4, "rate_schedule": "onecycle"}


class Past:
    """An MLflow store that searches are recorded in.

    `LOW`, `MIDDLE`, `HIGH` are learning rates at the places 0, 0.5 and 1 of the demo space.

    Args:
        root: an empty folder.
    """

    LOW, MIDDLE, HIGH = 1e-3, 6**0.5 * 1e-3, 6e-3

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = f"sqlite:///{root / 'mlflow.db'}"
        self.place = build_place({"data": "/streets", "tracking_uri": self.uri, "storage": root})
        self._clock = 0

    def record(
        self,
        name: str,
        trials: Sequence[tuple[dict, float, Sequence, str]],
        /,
        where: dict | None = None,
        **changes: Any,
    ) -> SearchSettings:
        """Write a search of the demo space, one trial after the other, an epoch a second.

        Args:
            name: of the search.
            trials: values beside those of the space's constants, seconds per epoch, iou by epoch (None: no score), and
                outcome ("": none).
            where: changes of the place.
            changes: of the settings.
        """
        base = {"name": name, "space": "demo", "epochs": 4, "reduction_factor": 2, "trials": len(trials)}
        settings = build_settings({"objective": "iou", **base, **changes})
        place = change_place(self.place, where or {})
        folder = StageFolder(root=self.root / settings.search_id)
        journal = Journal(folder.journal, "iou")
        for number, (values, seconds, ious, outcome) in enumerate(trials):
            whole = TrainConfig.from_values(
                {**DEMO, "seed": settings.seed, "epochs": settings.epochs, **values}
            ).values()
            journal.write(Asked(trial=number, fold=settings.fold, values=whole, params={}, time=self._tick()))
            for epoch, iou in enumerate(ious, start=1):
                metrics = {"seconds": seconds, **({} if iou is None else {"iou": iou})}
                journal.write(Epoch(trial=number, epoch=epoch, metrics=metrics, time=self._tick()))
            if outcome:
                end = Outcome(outcome)
                journal.write(Ended(trial=number, outcome=end, message="so it was", time=self._tick()))
        journal.close()
        StageRuns(settings, place, "search", folder).write(list(read_events(folder.journal)))
        return settings

    @staticmethod
    def crop(size: int, rate: float) -> dict[str, Any]:
        """Values of a trial that crops."""
        return {"input_mode": "crop", "crop_size": size, "learning_rate": rate}

    @staticmethod
    def full(rate: float) -> dict[str, Any]:
        """Values of a trial that sees whole images."""
        return {"input_mode": "full", "learning_rate": rate}

    def _tick(self) -> float:
        self._clock += 1
        return 1.7e9 + self._clock


HAND = [
    (Past.full(Past.HIGH), 2.0, (0.2, 0.4, 0.5, 0.6), "finished"),
    (Past.full(Past.LOW), 1.0, (0.1,), "stopped by ASHA"),
    (Past.crop(96, Past.MIDDLE), 3.0, (0.3, 0.5, 0.7, 0.8), "finished"),
    (Past.full(Past.MIDDLE), 2.0, (0.25, 0.35), "stopped by ASHA"),
    (Past.crop(64, Past.HIGH), 2.0, (0.28,), "diverged"),
    (Past.crop(96, Past.LOW), 1.0, (), "out of memory"),
    (Past.full(Past.HIGH), 1.0, (), "failed"),
    (Past.full(0.05), 1.0, (0.9,), ""),
]
"""Eight trials; the last but one left nothing, the last has a rate that the space does not draw."""


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Past:
    """A store with the search `hand`: ASHA compares after epochs 1 and 2 of 4 and lets the best half go on."""
    made = Past(tmp_path_factory.mktemp("past"))
    shutil.copy(empty_database, made.root / "mlflow.db")
    made.record("hand", HAND)
    return made
