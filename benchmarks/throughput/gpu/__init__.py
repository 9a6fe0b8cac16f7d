"""The figures of a card that is there for ten minutes: `python -m benchmarks.throughput gpu --minutes 8 --out DIR`.

`__main__` measures row after row, each in a process of its own with a time limit; which rows in which order is in
`rows`, what a row measures in `row`, `training`, `peaks`, `cost` and `trace`, the tables in `table`.
Nothing is read but the checkout: the streets are drawn, the networks have random weights.
"""
