"""What a search has learnt: which hyperparameters mattered, how early ranks settled, what the time bought; answers.

Uses `memory`, `judge`, `propose` (standings), `verdict` and Optuna; neither Ray, MLflow nor torch.
"""
