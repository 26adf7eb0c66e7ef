"""Reports of runs, sweeps and comparisons, in the terminal and as files.

Modules:
    run: Report of one run.
    sweep: Report of a sweep.
    comparison: Report of a comparison of runs.
    figures: Pictures of scores and predictions.
    tables: Tables as files, and predictions as npz files.
    page: Reports as one HTML file.
    card: Model card in Markdown.
    samples: Sample pictures of a data set.
    photo_check: Check of a folder of labelled photos.
    markup: Texts of others in rich's tables.
    terminal: Terminal output of a run.
    log: Log of a run.
    runs: List of runs, and the plan of a pruning.
"""
