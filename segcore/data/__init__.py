"""The data set: its folder, classes, problems, folds, and the cache of decoded images.

Uses `config`, `errors` and `machine` alone.
"""
