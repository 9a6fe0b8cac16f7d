"""A driver whose clock is set while it runs, by libfaketime: the time of day alone, not the clocks that nobody sets."""

from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.drill.nodes import UnfitError
from benchmarks.drill.scene import Scene

_LIBRARIES: Final = ("/usr/lib", "/usr/local/lib", "/opt/homebrew/lib")
_NAME: Final = "libfaketimeMT.so.1"
_JUMP_SECONDS: Final = 3600
_PATIENCE_SECONDS: Final = 300.0


def clock_environment(file: Path) -> dict[str, str]:
    """Return what makes a process go by a clock that is as many seconds ahead as a file says.

    Args:
        file: which is made, and says none.

    Raises:
        UnfitError: when libfaketime is not installed.
    """
    found = [path for folder in _LIBRARIES for path in Path(folder).rglob(_NAME)]
    if not found:
        raise UnfitError("a clock is set by libfaketime, which is not installed (apt-get install faketime)")
    file.write_text("+0", encoding="ascii")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        # Times of files are those of the storage's machine.
        "NO_FAKE_STAT": "1",
    }


def jump_clock(scene: Scene) -> None:
    """Set the driver's clock an hour ahead, then an hour back, then kill it: the next begins in the past."""
    for seconds in (_JUMP_SECONDS, -_JUMP_SECONDS):
        scene.clock.write_text(f"{seconds:+d}", encoding="ascii")
        wanted = _count_epochs(scene) + 2
        scene.wait_for(partial(_has_epochs, scene, wanted), _PATIENCE_SECONDS)
    if scene.driver is not None and scene.driver.poll() is None:
        scene.kill_driver()


def _has_epochs(scene: Scene, wanted: int) -> bool:
    return _count_epochs(scene) >= wanted


def _count_epochs(scene: Scene) -> int:
    return sum(len(trial.epochs) for trial in scene.history().in_order)
