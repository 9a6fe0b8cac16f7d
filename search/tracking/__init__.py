"""MLflow: its store, the runs, the thread that follows a journal, views, the model registry; nothing else imports it.

Uses `memory`, `verdict` and `insight`.
"""

import os

# Read when MLflow is imported: it would tell its makers of every use, from a thread of its own.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
