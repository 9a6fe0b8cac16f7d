"""Predicting: one image or many, by one network or an ensemble, and what is made of a finished model.

Uses `data`, `networks`, `scoring` and `feeding`.
"""
