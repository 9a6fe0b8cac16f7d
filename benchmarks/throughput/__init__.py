"""How fast data, training and prediction are, against plain loops: `python -m benchmarks.throughput`."""
