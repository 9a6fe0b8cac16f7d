"""Spaces: finding one, drawing from it, refusing one that cannot be trained, and what is tried first.

Uses `settings` and Optuna; neither Ray, MLflow nor torch.
"""
