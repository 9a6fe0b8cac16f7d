"""MLflow: its store, the runs, the thread that follows a journal, the model registry. Nothing else imports MLflow.

Uses `memory` and `verdict`.
"""
