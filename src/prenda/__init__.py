"""Training, tuning, comparison and promotion of classifiers for pictures of garments.

Modules:
    cli: Entry point of the `prenda` command.
    commands: One module per command.
    model_selection: Comparison and promotion of recorded runs.
    search: Hyperparameter sweeps.
    training: One run, from its configuration to a recorded model.
    report: Pictures, tables and pages.
    tracking: Records in MLflow.
    bundle: A model on disk.
    scoring: Metrics, calibration and statistical significance.
    data: Data sets and batches.
    backbones: Networks.
    optimizers: Optimisers beyond those of torch.
    schedules: Learning rate schedules.
    config: Typed configuration.
    system: Atomic writes, signals, start-up and memory.
    errors: Errors that a user can correct.
"""

__version__ = "0.1.0"
