"""Finds a search space by its name, or by the import path of a user's own function."""

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Final

from segcore.errors import ConfigError
from spaces import SPACES, Space

_ROOM: Final = Path(__file__).parent


def load_space(name: str) -> Space:
    """Return a space by its name, or by the import path of a user's own.

    Args:
        name: one of `SPACES`, or `package.module:function`.

    Raises:
        ConfigError: when there is no such space.
    """
    if name in SPACES:
        return SPACES[name]
    module_name, colon, function_name = name.partition(":")
    if not colon:
        raise ConfigError(
            f"--space {name!r} is no space; use {', '.join(sorted(SPACES))}, or package.module:function for your own."
        )
    module = _import_module(name, module_name.removesuffix(".py"))
    space = getattr(module, function_name, None)
    if space is None:
        raise ConfigError(
            f"--space {name!r}: there is no {function_name!r} in {module.__file__ or module_name}; give the name of a "
            "function of it that takes an optuna.Trial."
        )
    if not callable(space):
        raise ConfigError(f"--space {name!r} is no function; it must take an optuna.Trial.")
    found: Space = space
    return found


def describe_failure(error: BaseException) -> str:
    """Return what a space raised, and the last line of it that led there."""
    told = f"{type(error).__name__}: {_read_message(error)}".removesuffix(": ")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen ")
        and not frame.filename.endswith(".pyx")
        and not {"site-packages", "importlib"} & set(Path(frame.filename).parts)
        and not Path(frame.filename).is_relative_to(_ROOM)
    ]
    return "".join([told, *(f" ({frame.filename}, line {frame.lineno})" for frame in frames[-1:])])


def _read_message(error: BaseException) -> str:
    try:
        return str(error)
    # A user's own exception may fail to say what is wrong.
    except Exception:
        return ""


def _import_module(name: str, module_name: str) -> ModuleType:
    if not module_name or "/" in module_name or module_name.startswith("."):
        raise ConfigError(
            f"--space {name!r} cannot be imported: a module is given by its name, folders before it with dots, such as "
            "mine:small or folder.mine:small; start in the folder that holds it, or put that on PYTHONPATH."
        )
    # `python -m` has the folder that it starts in on the path, an installed script has not.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    # A user's module may fail with anything, and a script ends the process.
    except BaseException as error:
        told = f"--space {name!r} cannot be imported ({describe_failure(error)})"
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigError(f"{told}; start in the folder that holds the module, or put it on PYTHONPATH.") from error
        raise ConfigError(f"{told}; the module was found and does not run: mend it.") from error
