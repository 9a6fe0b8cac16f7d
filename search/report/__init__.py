"""A search, or two beside each other, as one page that fetches nothing and is read on any machine.

Uses `memory`, `judge`, `verdict`, `insight` and the pages of `segcore.insight`; neither Ray, MLflow nor torch.
"""
