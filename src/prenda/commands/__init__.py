"""Commands of `prenda`; each module adds its parser and turns arguments into calls and an exit code.

Modules:
    train: `prenda train`: one training, or a sweep.
    train_application: Hydra application behind `prenda train`.
    train_help: Help of `prenda train`.
    resume: `prenda resume`: resume an interrupted run.
    evaluate: `prenda evaluate`: score a finished run again.
    reproduce: `prenda reproduce`: train a recorded run again, and compare the results.
    compare: `prenda compare`: compare recorded runs.
    promote: `prenda promote`: make a run's model the champion.
    export: `prenda export`: write a run's bundle to a folder.
    runs: `prenda runs`: list recorded runs, or free the disk space of old ones.
    models: `prenda models`: list the versions of a registered model.
    predict: `prenda predict`: say which garment photos show.
    sync: `prenda sync`: deliver records that the tracking server has not received.
    data: `prenda data`: fetch a data set, or draw samples of it.
    ui: `prenda ui`: serve MLflow's UI.
    parser: Parser of the command line, with suggestions and completion.
    shared: Arguments and exit codes that several commands share.
"""
