"""A driver whose clock is set while it runs, as by hand or by a time server that is found late; see `driver`."""

from functools import partial
from typing import Final

from benchmarks.drill.scene import Scene

_JUMP_SECONDS: Final = 3600
_PATIENCE_SECONDS: Final = 300.0


def jump_clock(scene: Scene) -> None:
    """Set the driver's clock an hour ahead, then an hour back, then kill it: the next begins in the past."""
    for seconds in (_JUMP_SECONDS, -_JUMP_SECONDS):
        scene.set_clock(seconds)
        wanted = _count_epochs(scene) + 2
        scene.wait_for(partial(_has_epochs, scene, wanted), _PATIENCE_SECONDS)
    if scene.driver is not None and scene.driver.poll() is None:
        scene.kill_driver()


def _has_epochs(scene: Scene, wanted: int) -> bool:
    return _count_epochs(scene) >= wanted


def _count_epochs(scene: Scene) -> int:
    return sum(len(trial.epochs) for trial in scene.history().in_order)
