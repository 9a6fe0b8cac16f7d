"""Every image decoded once per node: building, keeping and finding again what was decoded.

Uses `dataset`, `case`, `classes`, `decoding`, `listing` and `sides` of `segcore.data`, and `dividing.likeness`.
"""
