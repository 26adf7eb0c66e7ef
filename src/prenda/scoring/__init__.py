"""Scores of predictions, calibration of confidence, and statistical significance."""
