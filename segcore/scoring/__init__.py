"""Scores: confusion, IoU, objects found and missed, finished masks and submissions against the truth.

Uses `data`; torch for counting, no network.
"""
