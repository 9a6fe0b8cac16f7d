"""A checkpoint that is written while its epoch is validated: nothing waits for the disk.

    FOLDER/state.pt      all but the last epoch's score, see `state`: once its steps are taken weights change no more
    FOLDER/score.json    that score

A folder that lacks the score, or has that of another epoch, is torn: `load_checkpoint` refuses it.
"""

import dataclasses
import json
import math
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self

from segcore.config import TrainConfig
from segcore.errors import CheckpointError, StorageError
from segcore.machine import Machine
from segcore.regular import read_regular
from segcore.scoring.objective import FIRST_METRIC
from segcore.training.checkpoint import load_state, save_state
from segcore.training.state import TrainState

STATE_FILE: Final = "state.pt"
SCORE_FILE: Final = "score.json"


class StateWriter:
    """Writes one training's checkpoints, each in place of the one before.

    Args:
        folder: where they are written; whoever keeps one copies it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / STATE_FILE
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        """Return the writer, whose thread ends with the block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for what is being written, whatever became of the training."""
        self._thread.shutdown()

    def begin(self, state: TrainState) -> None:
        """Start to write a state whose epoch has no score yet; until `finish` nothing else of it may change."""
        unscored = dataclasses.replace(state, scores=list(state.scores))
        self._writing = self._thread.submit(save_state, unscored, self.file)

    def finish(self, state: TrainState) -> None:
        """Return when the checkpoint is on the disk, with the score that the epoch has by now.

        Raises:
            StorageError: when it cannot be written.
        """
        assert self._writing is not None, "begin comes first"
        self._writing.result()
        score = {"epoch": state.epoch, "score": state.scores[-1]}
        try:
            (self.folder / SCORE_FILE).write_text(json.dumps(score), encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"The checkpoint in {self.folder} cannot be written ({error}); make room or choose another folder."
            ) from error


def load_checkpoint(folder: Path, config: TrainConfig, machine: Machine, metric: str = FIRST_METRIC) -> TrainState:
    """Read a checkpoint of `StateWriter` back onto a device; one of `save_state`, which is whole by itself, too.

    Args:
        folder: holds the checkpoint.
        config: see `load_state`.
        machine: where to go on.
        metric: see `load_state`.

    Raises:
        CheckpointError: when it is torn or belongs to another configuration or metric.
    """
    state = load_state(folder / STATE_FILE, config, machine, metric=metric)
    if len(state.scores) < state.epoch:
        state.scores.append(_read_score(folder / SCORE_FILE, state.epoch))
    return state


def _read_score(file: Path, epoch: int) -> float:
    try:
        found = json.loads(read_regular(file))
        score = found["score"]
        if found["epoch"] != epoch:
            raise ValueError(f"it is of epoch {found['epoch']!r:.60}, the state of epoch {epoch}")
        if not isinstance(score, float) or not math.isfinite(score):
            raise ValueError(f"its score is {score!r:.60}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"The checkpoint {file} cannot be read ({type(error).__name__}: {error}); delete it to start anew."
        ) from error
    return score
