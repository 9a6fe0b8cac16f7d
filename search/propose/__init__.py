"""What is tried next: a model over the standings of what was tried, and random draws.

Uses `memory`, `space`, `judge` (ranks by two goals) and Optuna; neither Ray, MLflow nor torch.
"""
