"""Data, training and prediction against plain loops, one after the other: `python -m benchmarks.throughput`.

Each is a program of its own, with its own options: `python -m benchmarks.throughput.training --help`. All that a card
shows within some minutes: `python -m benchmarks.throughput gpu --minutes 8 --out DIR`.
"""

import subprocess
import sys

if sys.argv[1:2] == ["gpu"]:
    from benchmarks.throughput.gpu.__main__ import main

    main(sys.argv[2:])
else:
    for name in ("data", "training", "prediction"):
        subprocess.run([sys.executable, "-m", f"benchmarks.throughput.{name}"], check=True)
