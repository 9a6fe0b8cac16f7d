"""Who has won, honestly: the race over further folds, its statistics, and the choice of the winner.

Uses `memory`; neither Ray, MLflow nor torch.
"""
