"""One model, one fold, one process: data, training, validation and prediction of street-scene segmentation.

Nothing here knows of Ray, Optuna or MLflow; the package `search` brings those.
"""
