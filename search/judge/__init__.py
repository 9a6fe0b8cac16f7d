"""Who goes on: ASHA's rungs, and ranking by two goals.

Uses `memory`; neither Ray, MLflow nor torch.
"""
