"""Who goes on: ASHA's rungs, ranking by two goals, a person's wishes, and who fails, hangs or finds no room.

Uses `memory`; neither Ray, MLflow nor torch.
"""
