"""Hyperparameter sweeps: search space, launchers, and a resumable Optuna study of trials composed by Hydra.

Modules:
    sweeper: Hydra's `-m` for `hydra/sweeper=prenda`.
    sweep: A sweep from its command to its report.
    plan: Space, configurations and name of a sweep.
    recorded_plan: Recorded plan of a sweep.
    space: Search space: parameters, values of a trial, combinations of a grid.
    expressions: Expressions of a search space, in Hydra's override grammar.
    conditions: Check of the conditions of a search space.
    composition: Configurations as Hydra composes them.
    study: Optuna study of a sweep, in a database.
    driver: Loop that starts trials and records how they ended.
    driver_lock: Lock of a sweep's folder.
    running_time: Running time of a sweep over all its starts.
    launchers: Launchers of trials.
    job: Description of a trial for a launcher.
    trial: One trial, in a process of its own.
    pruning: Pruning of trials by their scores at an epoch.
    outcome: How a trial ended, read from its folder.
    progress: Terminal output of a sweep.
    results: MLflow record and report of a sweep.
    experiment: Experiment files of a trial.
"""
