"""Every image decoded once per node: building, keeping and finding again what was decoded.

Uses `dataset`, `classes`, `case` and `decoding` of `segcore.data`, and the looks of `dividing.likeness`.
"""
