"""Search spaces: one file each, a plain function of an Optuna trial; `SPACES` names them.

    def space(trial: optuna.Trial) -> dict[str, object] | None

What the trial suggests becomes a `TrainConfig` value of that name; the returned dictionary adds constants. Facts of
the data are in `trial.study.user_attrs`: `smallest_side`, the shorter side in pixels that nine of ten images reach; a
crop may be so large, and smaller images are filled up.
"""

from collections.abc import Callable

import optuna

from spaces.demo import demo
from spaces.street import street

Space = Callable[[optuna.Trial], dict[str, object] | None]

SPACES: dict[str, Space] = {"demo": demo, "street": street}
