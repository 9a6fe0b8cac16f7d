"""Many trainings, many machines: Ray Tune runs them, ASHA lets the weak wait, Optuna draws, MLflow shows."""

import os
from pathlib import Path

# Ray cannot be imported by a user who has no home, such as one whom a container knows by number alone.
if os.path.expanduser("~") == "~":  # noqa: PTH111
    os.environ["HOME"] = "/nonexistent"

# A cluster whose head found a token asks for it, but a driver sends its own only when told so before Ray is imported.
_TOKEN_NAMES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
if any(name in os.environ for name in _TOKEN_NAMES) or (Path.home() / ".ray" / "auth_token").is_file():
    os.environ.setdefault("RAY_AUTH_MODE", "token")
