"""Records of runs, sweeps, comparisons and models in MLflow.

This is the only package that imports MLflow, and it does so only where it is needed.

Modules:
    store: Connection to a local store or a server.
    journal: Journal of a run: what its record is to hold.
    delivery: Delivery of a journal to a store.
    send: Requests to MLflow for one record of a journal.
    sync: Delivery of journals whose runs have ended.
    runs: Record of a run.
    sweeps: Record of a sweep: the parent run of its trials.
    comparisons: Recorded runs for a comparison, and its own record.
    run_folder: Marks in a run's own folder.
    records: Records of runs in MLflow, and searching them.
    lookup: Run that RUN names, and its files.
    listing: Lists of recorded runs.
    disk: Disk space of runs.
    pruning: Freeing the disk space of old runs.
    registry: Logged models and versions of registered models.
    model_files: Files that make a bundle a model of MLflow.
    loggers: Lightning loggers.
    system_metrics: The machine's load as metrics of a run.
    ui: MLflow's UI on this project's store.
"""
