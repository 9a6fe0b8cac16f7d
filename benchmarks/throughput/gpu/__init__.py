"""The figures of a card that is there for ten minutes: `python -m benchmarks.throughput gpu --minutes 8 --out DIR`.

`__main__` measures row after row, each in a process of its own with a time limit. `rows` says which and in which order;
`row` measures one, with `peaks`, `start`, `parts`, `training`, `cost` and `trace`; `table` writes the tables.
Nothing is read but the checkout: the streets are drawn, the networks have random weights.
"""
