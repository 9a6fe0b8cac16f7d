"""What a search has learnt: which choices mattered, how early ranks settled, what the time bought; questions answered.

Uses `memory`, `judge`, `propose` (standings), `verdict` and Optuna; neither Ray, MLflow nor torch.
"""
