"""Records of runs, sweeps, comparisons and models in MLflow.

This is the only package that imports MLflow, and it does so only where it is needed.

Modules:
    store: Connection to a local store or a server.
    journal: Journal of a run: the content of its record.
    delivery: Delivery of a journal to a store.
    send: Requests to MLflow for one record of a journal.
    sync: Delivery of missing records after their runs have ended.
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
    interrupted_promotion: End of a promotion that was killed.
    model_files: Files that make a bundle a model of MLflow.
    loggers: Lightning loggers.
    system_metrics: The machine's load as metrics of a run.
    seeds: Recorded runs of one configuration with different seeds.
    score_view: Shared view of the table of runs in MLflow's UI.
    ui: MLflow's UI on this project's store.
"""
