"""Benchmarks of the search itself, whatever is trained: `python -m benchmarks.scale` runs them all."""

# Ray reads how it may be reached as it is imported, and the project says it.
import search as search
