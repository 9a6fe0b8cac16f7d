"""What each choice of a training does to the score at equal steps: `python -m benchmarks.throughput.choices DATA`.

`groups` says what is trained, `rows` trains and remembers, `table` prints.
"""
