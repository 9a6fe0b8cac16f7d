"""Faults struck at a real search, and what is left of it, beside the same faults struck at the stock combination.

`scene` is the stage: a head and two nodes on loopback, each its own raylet, and a real MLflow server. `faults` says
what is done to it (to disks in `disks`, to clocks in `clocks`, to a bucket in `store`). `run` takes one search through
one fault, `account` says what is found afterwards, `table` shows it. `driver` starts the project's driver as on another
machine, `stock` is that of the other combination.
"""

# Ray reads how it is to prove itself when it is imported, which `search` sets: so Ray comes second.
import search as search
