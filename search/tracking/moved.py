"""A storage that was moved or copied: MLflow's database in it names its files by absolute addresses.

Without this, pictures of a copied search would be written into its original, and those of a moved one not be found.
"""

from pathlib import Path
from typing import Final

import sqlalchemy

_FILES: Final = "/mlartifacts/"
_ADDRESSES: Final = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""Tables and columns of MLflow's database that say where files are."""


def bring_home(database: Path | None, storage: Path, location: str) -> str:
    """Let a search's experiment name the files of the storage that its database lies in.

    Args:
        database: MLflow's database; None for a server, which knows its own files.
        storage: folder of all searches.
        location: where the experiment's files are, as the database says; a search that was renamed since has them
            below its first name.

    Returns:
        Where they are now.
    """
    former, _, name = location.rpartition(_FILES)
    home = f"{storage.as_uri()}{_FILES}{name}"
    if database is None or database.parent != storage or location == home or not former.startswith("file:"):
        return location
    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        for table, column in _ADDRESSES:
            connection.execute(
                sqlalchemy.text(
                    f"UPDATE {table} SET {column} = :home || substr({column}, length(:former) + 1) "
                    f"WHERE {column} = :former OR substr({column}, 1, length(:former) + 1) = :former || '/'"
                ),
                {"home": home, "former": location},
            )
    engine.dispose()
    return home
