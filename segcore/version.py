"""The version of the project: the package, `--version` and whoever else tells it read it here."""

from typing import Final

VERSION: Final = "0.1.0"
