"""The three stages of a search: searching, confirming, retraining.

Uses every room but `commands`.
"""
