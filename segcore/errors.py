"""The project's one exception tree; every message gives the value, the rule and the remedy.

    StreetError
    ├── ConfigError            a setting or hyperparameter that is not allowed
    ├── DataError              a data-set folder, image, mask or class table; carries every problem found
    │   └── LeftOutError           some files that could not be read; the work is done for the others
    ├── WeightsError           pretrained weights that cannot be had
    ├── StorageError           a disk, folder or bucket that cannot hold what is to be written, or be read
    │   └── StoreAwayError         a bucket's store that does not answer now
    ├── CheckpointError        a saved training, model or search that cannot be read
    ├── ExportError            a network that the ONNX format cannot hold, or not exactly
    ├── TrainingError          a training that cannot go on
    │   ├── NonFiniteLossError     the loss became NaN or infinite
    │   └── DeviceMemoryError      the device has too little memory
    ├── InterruptedSearchError a search that was stopped from outside and can go on
    │   └── HopelessSearchError    a search whose trials do nothing but fail
    ├── ClusterError           Ray cannot be reached or has too few resources
    │   └── UnfitClusterError      a cluster on which a search would fail, as `doctor` found
    └── TrackingError          the MLflow server cannot be used

A command line catches `StreetError` and prints its message; anything else is a bug.
"""

from collections.abc import Sequence


class StreetError(Exception):
    """Base of all errors that a user can mend."""


class ConfigError(StreetError):
    """A setting or hyperparameter that is not allowed."""


class DataError(StreetError):
    """A data set that cannot be used.

    Args:
        summary: one sentence naming the folder or file.
        problems: every problem found, one line each.
    """

    def __init__(self, summary: str, problems: Sequence[str] = ()) -> None:
        super().__init__(summary, tuple(problems))
        self.summary = summary
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([self.summary, *(f"  - {problem}" for problem in self.problems)])


class LeftOutError(DataError):
    """Files that could not be read, told at the end of the work on the others."""


class WeightsError(StreetError):
    """Pretrained weights that cannot be had."""


class StorageError(StreetError):
    """A disk or folder that cannot hold what is to be written."""


class StoreAwayError(StorageError):
    """A bucket's store that does not answer now, and may soon."""


class CheckpointError(StreetError):
    """A saved training, model or search that cannot be read."""


class ExportError(StreetError):
    """A network that the ONNX format cannot hold, or not exactly."""


class TrainingError(StreetError):
    """A training that cannot go on."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite."""


class DeviceMemoryError(TrainingError):
    """The device has too little memory for the configuration."""


class InterruptedSearchError(StreetError):
    """A search that was stopped from outside and can go on."""


class HopelessSearchError(InterruptedSearchError):
    """A search whose trials do nothing but fail: it can go on once the cause is mended."""


class ClusterError(StreetError):
    """Ray cannot be reached or has too few resources."""


class UnfitClusterError(ClusterError):
    """A cluster on which a search would fail, told at the end of the look at it."""


class TrackingError(StreetError):
    """The MLflow server cannot be used."""
