"""Hyperparameter sweeps: search space, launchers, and a resumable Optuna study of trials composed by Hydra."""
