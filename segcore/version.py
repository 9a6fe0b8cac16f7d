"""The version of the project; the package and `--version` read it here."""

from typing import Final

VERSION: Final = "0.1.0"
