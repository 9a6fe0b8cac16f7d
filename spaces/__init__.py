"""Search spaces: one file each, a plain function of an Optuna trial; `SPACES` names them.

    def space(trial: optuna.Trial) -> dict[str, object] | None

What the trial suggests becomes a `TrainConfig` value of that name; the returned dictionary adds constants. Facts of
the data are in `trial.study.user_attrs`: `smallest_side`, the shorter side in pixels that nine of ten images reach; a
crop may be so large, and smaller images are filled up; `images`, how many there are.

A space that draws otherwise than before keeps its former edition in `FORMER_SPACES`: a search that goes on must draw
from what it began with.
"""

from collections.abc import Callable

import optuna

from spaces.contest import contest
from spaces.demo import demo
from spaces.former import first_street, first_street_offline, first_street_small, second_street, third_street
from spaces.street import street
from spaces.street_offline import street_offline
from spaces.street_small import street_small

Space = Callable[[optuna.Trial], dict[str, object] | None]

SPACES: dict[str, Space] = {
    "contest": contest,
    "demo": demo,
    "street": street,
    "street_offline": street_offline,
    "street_small": street_small,
}

FORMER_SPACES: dict[str, tuple[Space, ...]] = {
    "street": (third_street, second_street, first_street),
    "street_offline": (first_street_offline,),
    "street_small": (first_street_small,),
}
"""The newest first."""
