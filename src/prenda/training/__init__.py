"""Training of one run, from its configuration to a trained, scored and recorded model.

Modules:
    train: One run: training, scoring and recording.
    resume: Resuming an interrupted run.
    build: Construction of a run's parts from its configuration.
    classifier: LightningModule around a backbone.
    reproduction: Reproduction of a recorded run.
    original: Recorded run that is reproduced.
    agreement: Agreement of a run's record with the present.
    conditions: Source code, packages and machine of a training.
    equality: Comparison of two runs' results.
    tensor_digest: SHA-256 of named tensors.
    starting_point: Run or bundle that a new run starts from.
    initial_weights: Loading of the weights that a new run starts from.
    features: Features of a frozen body, computed once and kept.
    feature_data: LightningDataModule for such features.
    epoch_outputs: Outputs of an epoch's steps.
    test_time_views: Test-time augmentation.
    fit: Training loop, with Lightning's Trainer.
    distributed: Training in several processes.
    callbacks: Lightning callbacks.
    checkpoints: Writing and reading of checkpoints.
    checkpoint_digest: SHA-256 in the file of a checkpoint.
    restored_best: Restoring of a lost best checkpoint.
    finish: End of a run: scores, report and bundle.
    evaluation: Evaluation of trained classifiers.
    full_precision: Scoring in float32.
    bundling: Bundle of a run.
    novelty: Statistics of a trained network's features, for pictures unlike its images.
    exporting: Export of a recorded run's bundle.
    photos: Lists of a run's photos, and the sizes of its classes.
    profile: Profiling of training steps.
    lightning_overrides: Overrides of Lightning's internals that save time.
"""
