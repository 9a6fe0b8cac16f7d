"""COCO's annotations made into index masks.

Uses `classes`, `colours`, `decoding`, `names` and `picture_files` of `segcore.data`, `sources` and `caching`.
"""
