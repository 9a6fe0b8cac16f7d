"""`python -m tests.audit`: what is publicly known against the packages of requirements.lock, by the OSV database.

Ends with 1 when something is known, and with 0 when nothing is or the database cannot be had, which is said.
"""

import json
import re
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

LOCK: Final = Path(__file__).parents[1] / "requirements.lock"
DATABASE: Final = "https://api.osv.dev/v1/querybatch"
"""Answers a list of questions at once (https://google.github.io/osv.dev/post-v1-querybatch)."""
_TIMEOUT_SECONDS: Final = 10.0


def read_pins(lock: Path) -> dict[str, str]:
    """Return the version of each package by its name."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


def ask(pins: Mapping[str, str], database: str = DATABASE) -> list[str]:
    """Return what is known against packages, a line each.

    Args:
        pins: versions by name.
        database: address of the batch query.

    Raises:
        OSError: when the database does not answer.
        ValueError: when it answers something else.
    """
    questions = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in pins.items()]
    body = json.dumps({"queries": questions}).encode()
    request = urllib.request.Request(database, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
        results = json.load(answer).get("results")
    if not isinstance(results, list) or len(results) != len(pins):
        raise ValueError("it answers something else than was asked")
    return [
        f"{name} {version}: {each['id']} (https://osv.dev/vulnerability/{each['id']})"
        for (name, version), found in zip(pins.items(), results, strict=True)
        for each in (found or {}).get("vulns") or ()
    ]


def main() -> int:
    """Print what is known, and return the exit code."""
    pins = read_pins(LOCK)
    try:
        known = ask(pins)
    except (OSError, ValueError, KeyError) as error:
        print(f"audit: the database of advisories cannot be had ({error}); nothing is known of {len(pins)} packages")
        return 0
    print(*known, f"audit: {len(known)} advisories against {len(pins)} packages", sep="\n")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
