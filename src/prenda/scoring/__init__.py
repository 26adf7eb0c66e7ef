"""Scores of predictions, calibration of confidence, and tests of statistical significance.

Modules:
    predictions: Predictions of a network on one split of the data.
    metrics: Registry of metrics.
    scores: Scores by class, confused pairs and overfitting.
    calibration: Temperature scaling and calibration of probabilities.
    selective: Thresholds below which an answer is unsure.
    novelty: Score of images that are unlike the training images.
    significance: Tests of statistical significance for differences between classifiers.
"""
