"""COCO's annotations made into index masks.

Uses `classes`, `decoding`, `listing` and `picture_files` of `segcore.data`.
"""
