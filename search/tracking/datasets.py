"""The data set of a training as MLflow's input: where it is, and digests of its files and of its folds."""

import hashlib
import json
from pathlib import Path
from typing import Final

from mlflow.entities import Dataset, DatasetInput, InputTag

from search.folder import SearchFolder
from search.place import Place
from search.settings import SearchSettings
from search.tracking_uri import mask_uri

_DIGEST_LETTERS: Final = 8
_NAME_LETTERS: Final = 200


def describe_dataset(settings: SearchSettings, place: Place, cache_key: str, folder: SearchFolder) -> Dataset:
    """Return a data set with its division; another file, class or fold gives another digest.

    Args:
        settings: of the search.
        place: where the data is.
        cache_key: name of the data's cache, a digest of its files.
        folder: the search's files.
    """
    data = mask_uri(place.data)
    folds = folder.folds.read_bytes() if folder.folds.is_file() else b""
    division = hashlib.sha256(folds).hexdigest()[:_DIGEST_LETTERS]
    profile = {"data": cache_key, "folds": settings.folds, "split": settings.split, "folds_digest": division}
    return Dataset(
        name=(Path(data.rstrip("/")).name or "data")[:_NAME_LETTERS],
        digest=f"{cache_key[:_DIGEST_LETTERS]}-{division}",
        source_type=data.partition("://")[0] if "://" in data else "local",
        source=json.dumps({"uri": data}),
        profile=json.dumps(profile),
    )


def as_input(dataset: Dataset, fold: int) -> DatasetInput:
    """Return a data set as what a training validates on.

    Args:
        dataset: the data set.
        fold: the fold that it is scored on.
    """
    context = f"validated on fold {fold}"
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])
