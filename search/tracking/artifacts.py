"""What stores of MLflow's files raise, as MLflow's own exception.

Where no server brings the files, MLflow's client takes that of the bucket they are in, which raises whatever it likes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mlflow.exceptions import MlflowException

from segcore.errors import StreetError

_REMEDY: Final = "this machine itself has to reach the store of MLflow's files, with its keys"


@contextmanager
def artifact_errors() -> Iterator[None]:
    """Raise `MlflowException` for what a store of files raises that is neither MLflow's nor the system's."""
    try:
        yield
    except (StreetError, MlflowException, OSError):
        raise
    except Exception as error:
        raise MlflowException(f"{type(error).__name__}: {error}; {_REMEDY}".replace("\n", " ")) from error
