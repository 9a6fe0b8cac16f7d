"""Which case is validated where: blocks that stay together, folds of them, the data's own split, a user's own folds.

Uses `case` and `names` of `segcore.data`.
"""
