"""Two real searches on the same data: this project's, and plain Ray Tune with the parts that its documentation names.

`terms` is what both are given, `space` what both draw from, `stock` the other search, `measure` what a search brought
and how its choice does on further folds, `table` what is printed. Who runs when is decided in `__main__`. Each has
rungs of its own: the project its defaults, the stock pair a later first rung and a factor of three, as its ASHA stops
for good.
"""
