"""Many trainings, many machines: Ray Tune runs them, ASHA stops the weak, Optuna proposes, MLflow shows."""
