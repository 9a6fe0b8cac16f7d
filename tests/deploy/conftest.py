"""What the tests of files for clusters share: the pins, and whether a command line would be understood."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import command_lines


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return command_lines.ROOT


@pytest.fixture(scope="session")
def pins() -> dict[str, str]:
    """The version of each requirement by its name, without extras."""
    return command_lines.read_pins()


@pytest.fixture(scope="session")
def understand() -> Callable[[str], dict[str, object]]:
    """Return a function that parses a command line as its program does, and returns the values of its options."""
    return command_lines.understand
