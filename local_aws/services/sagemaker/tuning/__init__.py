"""Hyperparameter tuning jobs: training jobs with values that a strategy chooses.

`requests` is the API, `search` chooses values (Optuna), `driver` starts and watches the training jobs,
`trials` reads what they have reached. Nothing is remembered but the tuning job's record and its training
jobs', so a restarted server goes on from there.
"""
