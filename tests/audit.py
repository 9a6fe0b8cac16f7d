"""`python -m tests.audit`: what is publicly known against the packages of requirements.lock, by PyPI's own database.

Ends with 1 when something is known, and with 0 when nothing is or the database cannot be had, which is said.
"""

import json
import re
import sys
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

LOCK: Final = Path(__file__).parents[1] / "requirements.lock"
_ADDRESS: Final = "https://pypi.org/pypi/{name}/{version}/json"
_TIMEOUT_SECONDS: Final = 4.0
_AT_ONCE: Final = 16

Ask = Callable[[str, str], list[dict[str, Any]]]
"""Returns the advisories of a package's version, as PyPI writes them; OSError or ValueError: no answer."""


def read_pins(lock: Path) -> dict[str, str]:
    """Return the version of each package by its name."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


def ask_pypi(name: str, version: str) -> list[dict[str, Any]]:
    """Return what PyPI has on a package's version."""
    address = _ADDRESS.format(name=name, version=version)
    with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as answer:
        found: list[dict[str, Any]] = json.load(answer)["vulnerabilities"]
    return found


def audit(pins: Mapping[str, str], ask: Ask) -> tuple[list[str], list[str]]:
    """Return what is known, a line each, and the packages of which nothing could be learnt."""
    names = list(pins)
    first = _try(ask, names[0], pins[names[0]])
    if first is None:
        # One that does not answer is not waited for a hundred times.
        return [], names
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rest = pool.map(lambda name: _try(ask, name, pins[name]), names[1:])
        answers = dict(zip(names, [first, *rest], strict=True))
    known = [
        f"{name} {pins[name]}: {each['id']} {each.get('link', '')} (fixed in {', '.join(each['fixed_in']) or 'none'})"
        for name, found in answers.items()
        for each in found or ()
        if not each.get("withdrawn")
    ]
    return known, [name for name, found in answers.items() if found is None]


def _try(ask: Ask, name: str, version: str) -> list[dict[str, Any]] | None:
    try:
        return ask(name, version)
    except (OSError, ValueError, KeyError):
        return None


def main() -> int:
    """Print what is known, and return the exit code."""
    pins = read_pins(LOCK)
    known, unknown = audit(pins, ask_pypi)
    print(*known, sep="\n", end="\n" if known else "")
    if unknown:
        print(f"audit: PyPI's database of advisories cannot be had for {len(unknown)} of {len(pins)} packages")
    print(f"audit: {len(known)} advisories against {len(pins) - len(unknown)} packages")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
