"""What a search has learnt: which choices mattered, how early ranks settled, what the time bought.

Uses `memory`, `judge`, `propose` (standings) and Optuna; neither Ray, MLflow nor torch.
"""
