"""Sweeps: what to try, where trials run, and a count that survives whatever happens. Optuna chooses, Hydra composes."""
