"""Which tasks an algorithm is designed on, which decide between candidates, and which give the final figure.

Written down once, before any candidate was played. The tasks that the search was tuned on before are to design on. All
others were dealt family by family, in the order of the SHA-256 of their names, so that each part has tasks of all
four families (LCBench, TaskSet, landscapes, settled tables) and nobody's taste in it. What is designed may look at
`design` as often as it likes, at `choose` once per candidate, at `final` once; each look at the latter two is counted
in `benchmarks/results/search.md`. A task that is added later goes to `design`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

_IMDB: Final = "taskset/RNNClassification_imdb_patch"

SPLIT: Final[Mapping[str, Sequence[str]]] = {
    "design": (
        *("lcbench/126026", "lcbench/189862", "lcbench/167161", "lcbench/3945"),
        *(f"{_IMDB}32_IRNN64_relu_last_bs128", f"{_IMDB}32_GRU128_bs128"),
        *("synthetic/plain", "synthetic/crossing", "synthetic/failing"),
        *("synthetic/settled1", "synthetic/settled2", "synthetic/settled3"),
    ),
    "choose": (
        *("lcbench/167185", "lcbench/189354", "lcbench/146212", "lcbench/168331"),
        *(f"{_IMDB}128_LSTM128_bs64", f"{_IMDB}32_VRNN128_tanh_bs128"),
        *("synthetic/noisy", "synthetic/plain2", "synthetic/crossing2", "synthetic/settled4"),
    ),
    "final": (
        *("lcbench/167149", "lcbench/7593", "lcbench/126029", "lcbench/167200", "lcbench/167083"),
        *(f"{_IMDB}128_LSTM128_avg_bs64", f"{_IMDB}128_LSTM128_embed128_bs64"),
        *("synthetic/noisy2", "synthetic/crossing3", "synthetic/failing2", "synthetic/settled5"),
    ),
}
"""Names of tasks by part. The landscapes and the settled table of the latter two were made for them, unseen."""
