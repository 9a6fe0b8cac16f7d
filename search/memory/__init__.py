"""What a search remembers: events, the history that follows from them, the journal file, and `best.json`.

Uses `settings` and `folder`; neither Ray, MLflow nor torch. Nothing else may write a journal.
"""
