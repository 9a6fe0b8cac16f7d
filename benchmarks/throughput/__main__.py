"""Data, training and prediction against plain loops, one after the other: `python -m benchmarks.throughput`.

Each is a program of its own, with its own options: `python -m benchmarks.throughput.training --help`.
"""

import subprocess
import sys

for name in ("data", "training", "prediction"):
    subprocess.run([sys.executable, "-m", f"benchmarks.throughput.{name}"], check=True)
